from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.xglue import Xglue
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query, content_id

Write = Callable[[str, str | bytes], Path]

GERMAN = "saimaa\tSee\tEin See.\t4\nsaimaa\tFluss\tEin Fluss.\t1\nsaimaa\tSee\tEin See.\t0\nwolga\tFluss\tEin Fluss.\t3\n"
LAKE, RIVER = (
    Passage(f"de-{content_id(title, text)}", title, text, "de")
    for title, text in (("See", "Ein See."), ("Fluss", "Ein Fluss."))
)


def identified(query: str) -> str:
    return f"de-dev-{content_id('', query)}"


def test_labels_are_relevance_and_the_pages_of_all_queries_are_searched(write: Write) -> None:
    folder = str(write("xglue.wpr.de.dev", GERMAN).parent)
    benchmark = Xglue(folder, "wpr", ("de",), ("dev",), 2)
    assert list(benchmark.passages(Problems())) == [LAKE, RIVER]
    saimaa, wolga = (Query(identified(text), text, "de") for text in ("saimaa", "wolga"))
    assert list(benchmark.queries("dev", Problems())) == [saimaa, wolga]
    assert list(benchmark.judgements("dev", Problems())) == [
        Judgement(saimaa.query_id, LAKE.passage_id, 4),
        Judgement(saimaa.query_id, RIVER.passage_id, 1),
        Judgement(wolga.query_id, RIVER.passage_id, 3),
    ]
    first, second = benchmark.examples("dev", Problems())
    assert (first.positives, first.negatives) == ((LAKE,), (RIVER,))
    assert (second.positives, second.negatives) == ((RIVER,), ())


def test_answers_have_no_title_and_training_is_english(write: Write) -> None:
    write("xglue.qam.en.train", "who?\tShe.\t1\nwho?\tHe.\t0\nwhy?\tNo.\t0\n")
    write("xglue.qam.en.dev", "where?\tHere.\t1\n")
    folder = str(write("xglue.qam.fr.dev", "où ?\tIci.\t1\noù ?\t \t0\n").parent)
    benchmark = Xglue(folder, "qam", ("en", "fr"), ("train", "dev"), 1)
    problems = Problems()
    assert [passage.text for passage in benchmark.passages(problems)] == ["She.", "He.", "No.", "Here.", "Ici."]
    assert problems.omitted == {"pages without text": 1}
    (example,) = benchmark.examples("train", Problems())
    assert (example.query.text, example.positives[0].text, example.negatives[0].text) == ("who?", "She.", "He.")
    assert [query.language for query in benchmark.queries("dev", Problems())] == ["en", "fr"]
    assert list(benchmark.queries("test", Problems())) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("q\tt\ts\t5\n", "line 1, field 'label': must be one of 0 1 2 3 4, got '5'"),
        ("q\tt\ts\n", r"line 1.*a line must have 4 fields separated by tabs \(query, title, text, label\), got 3"),
        ("\tt\ts\t1\n", "field 'query': must be a string that is not blank"),
    ],
)
def test_a_bad_line_is_named(write: Write, content: str, says: str) -> None:
    folder = str(write("xglue.wpr.de.dev", content).parent)
    with pytest.raises(DataError, match=says):
        list(Xglue(folder, "wpr", ("de",), ("dev",), 2).judgements("dev", Problems()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"languages": ("es",)}, "XGLUE's qam has no 'es'. It has de en fr"),
        ({"least_positive": 2}, "data.least_positive must be 1 to 1 for qam, got 2"),
        ({"splits": ("dev", "dev")}, "data.splits must be some of train dev test, each once, got dev dev"),
    ],
)
def test_settings_that_the_release_does_not_allow_are_refused(change: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Xglue(**{"path": ".", "task": "qam", "languages": ("fr",), "splits": ("dev",), "least_positive": 1, **change})
