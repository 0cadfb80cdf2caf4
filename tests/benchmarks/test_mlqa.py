import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.mlqa import Mlqa
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query
from xdr.text.sentences import sentence_breaks

Write = Callable[[str, str | bytes], Path]


def squad(context: str, *questions: tuple[str, str, str]) -> str:
    """Questions as (id, question, answer)."""
    qas = [
        {"id": key, "question": question, "answers": [{"text": answer, "answer_start": context.find(answer)}]}
        for key, question, answer in questions
    ]
    return json.dumps({"version": 1.0, "data": [{"title": "T", "paragraphs": [{"context": context, "qas": qas}]}]})


@pytest.fixture
def folder(write: Write) -> str:
    write("dev/dev-context-de-question-de.json", squad("Eins. Zwei hier.", ("a", "Wo?", "Zwei")))
    write("test/test-context-en-question-en.json", squad("Three.", ("c", "Which?", "Three")))
    english = squad("One. Two there.", ("a", "Where?", "Two"), ("b", "What?", "One"))
    return str(write("dev/dev-context-en-question-en.json", english).parents[1])


def test_questions_of_one_id_find_the_sentences_that_answer_them_in_every_language(folder: str) -> None:
    benchmark = Mlqa(folder, ("en", "de"), "sentence", "multilingual", ("dev",))
    assert {passage.passage_id: passage.text for passage in benchmark.passages(Problems())} == {
        "dev_en_0_0": "One. One. Two there.",
        "dev_en_0_1": "Two there.One. Two there.",
        "dev_de_0_0": "Eins. Eins. Zwei hier.",
        "dev_de_0_1": "Zwei hier.Eins. Zwei hier.",
    }
    assert list(benchmark.queries("dev", Problems())) == [
        Query("en:a", "Where?", "en", ("Two",)),
        Query("en:b", "What?", "en", ("One",)),
        Query("de:a", "Wo?", "de", ("Zwei",)),
    ]
    relevant = [("en:a", "dev_en_0_1"), ("en:a", "dev_de_0_1"), ("de:a", "dev_en_0_1"), ("de:a", "dev_de_0_1")]
    assert list(benchmark.judgements("dev", Problems())) == [
        Judgement(*pair, 1) for pair in [*relevant, ("en:b", "dev_en_0_0")]
    ]
    assert list(benchmark.queries("test", Problems())) == list(benchmark.examples("train", Problems())) == []


def test_questions_in_one_language_may_search_paragraphs_of_another(folder: str) -> None:
    benchmark = Mlqa(folder, ("en",), "paragraph", "multilingual", ("dev",), ("de",))
    assert list(benchmark.passages(Problems())) == [Passage("dev_de_0", "", "Eins. Zwei hier.", "de")]
    assert list(benchmark.judgements("dev", Problems())) == [Judgement("en:a", "dev_de_0", 1)]
    (example,) = benchmark.examples("dev", Problems())
    assert (example.query.text, example.twins[0].text) == ("Where?", "Wo?")
    test = Mlqa(folder, ("en",), "paragraph", "monolingual", ("dev", "test"))
    assert [passage.passage_id for passage in test.passages(Problems())] == ["dev_en_0", "test_en_0"]
    assert [query.query_id for query in test.queries("test", Problems())] == ["en:c"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"languages": ("fi",)}, "MLQA has no 'fi'"),
        ({"splits": ("train",)}, "data.splits must be some of dev test, each once, got train"),
        ({"splits": ()}, "got none"),
        ({"passage_languages": ("de",), "judge": "monolingual"}, "Set data.judge=multilingual$"),
    ],
)
def test_settings_that_the_release_does_not_allow_are_refused(folder: str, change: dict, says: str) -> None:
    settings = {"languages": ("en",), "unit": "sentence", "judge": "multilingual", "splits": ("dev",)}
    with pytest.raises(DataError, match=says):
        Mlqa(folder, **{**settings, **change})


@pytest.mark.slow
def test_our_sentences_are_about_as_many_as_those_of_lareqa(real_data: Callable[[str], Path]) -> None:
    """XQuAD-R has the sentences that LAReQA's unpublished splitter found, in MLQA's seven languages too."""
    from xdr.benchmarks.squad import paragraph_rows

    for language in ("ar", "de", "en", "es", "hi", "vi", "zh"):
        theirs = ours = both = 0
        for _, _, row in paragraph_rows(real_data("xquad-r") / f"{language}.json.gz"):
            starts = {first for first, _ in row.pairs("sentence_breaks")}
            found = {first for first, _ in sentence_breaks(row.text("context"))}
            theirs, ours, both = theirs + len(starts), ours + len(found), both + len(starts & found)
        assert ours == pytest.approx(theirs, rel=0.04), language
        assert both > 0.95 * theirs, language
