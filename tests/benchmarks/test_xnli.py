from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.xnli import Xnli
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query

Write = Callable[[str, str | bytes], Path]

PARSES = [f"sentence{number}_{kind}" for kind in ("binary_parse", "parse") for number in (1, 2)]
HEADER = ["language", "gold_label", *PARSES, "sentence1", "sentence2", "promptID", "pairID", "genre"]
HEADER += [*(f"label{number}" for number in range(1, 6)), "sentence1_tokenized", "sentence2_tokenized", "match"]


def line(language: str, label: str, premise: str, hypothesis: str, prompt: int, pair: int) -> str:
    values = {"language": language, "gold_label": label, "sentence1": premise, "sentence2": hypothesis}
    values |= {"promptID": str(prompt), "pairID": str(pair), "genre": "letters", "match": "True"}
    return "\t".join(values.get(name, "") for name in HEADER)


def table(*lines: str) -> str:
    return "\n".join(["\t".join(HEADER), *lines, ""])


LABELS = ("neutral", "contradiction", "entailment")


@pytest.fixture
def folder(write: Write) -> str:
    lines = [
        line(code, label, f'"{code} premise {prompt}', f"{code} {label} {prompt}", prompt, 3 * prompt + number)
        for code in ("ar", "en")
        for prompt in (0, 1)
        for number, label in enumerate(LABELS)
    ]
    write("multinli.train.en.tsv", "premise\thypo\tlabel\nA\tB\tentailment\nC\tD\tcontradictory\nE\tF\tentailment\n")
    write("multinli.train.ar.tsv", "premise\thypo\tlabel\na\tb\tentailment\nc\td\tcontradictory\ne\tf\tentailment\n")
    return str(write("xnli.dev.tsv", table(*lines)).parent)


def test_a_premise_finds_the_hypothesis_that_it_entails_among_all(folder: str) -> None:
    benchmark = Xnli(folder, ("en", "ar"), "multilingual", ("dev",), "x_x")
    passages = list(benchmark.passages(Problems()))
    assert len(passages) == 12
    assert passages[0] == Passage("dev_ar_0", "", "ar neutral 0", "ar")
    queries = list(benchmark.queries("dev", Problems()))
    assert sorted(query.query_id for query in queries) == ["ar:dev-0", "ar:dev-1", "en:dev-0", "en:dev-1"]
    assert Query("en:dev-1", '"en premise 1', "en") in queries
    judged = [judgement for judgement in benchmark.judgements("dev", Problems()) if judgement.query_id == "en:dev-1"]
    assert judged == [Judgement("en:dev-1", "dev_ar_5", 1), Judgement("en:dev-1", "dev_en_5", 1)]
    assert list(benchmark.queries("test", Problems())) == list(benchmark.examples("train", Problems())) == []


def test_premises_of_one_language_may_search_the_hypotheses_of_another(folder: str) -> None:
    benchmark = Xnli(folder, ("ar",), "multilingual", ("dev",), "x_y", ("en",))
    assert {passage.language for passage in benchmark.passages(Problems())} == {"en"}
    assert list(benchmark.judgements("dev", Problems())) == [
        Judgement("ar:dev-0", "dev_en_2", 1),
        Judgement("ar:dev-1", "dev_en_5", 1),
    ]
    example = next(iter(benchmark.examples("dev", Problems())))
    assert [twin.language for twin in example.twins] == ["en"]


def test_training_pairs_are_aligned_by_line_and_paired_as_the_regime_says(folder: str) -> None:
    pairs = {}
    for regime in ("en_en", "x_x", "x_y"):
        benchmark = Xnli(folder, ("ar", "en"), "multilingual", ("train", "dev"), regime)
        assert len(list(benchmark.passages(Problems()))) == 6 + 12
        examples = benchmark.examples("train", Problems())
        pairs[regime] = sorted((example.query.text, example.positives[0].text) for example in examples)
    assert pairs["en_en"] == [("A", "B"), ("E", "F")]
    assert pairs["x_x"] == [*pairs["en_en"], ("a", "b"), ("e", "f")]
    assert pairs["x_y"] == sorted([*pairs["x_x"], ("A", "b"), ("a", "B"), ("E", "f"), ("e", "F")])


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (line("en", "-", "A", "B", 1, 1), "gold_label': must be entailment, neutral or contradiction, got '-'"),
        (line("xx-yy-zz", "neutral", "A", "B", 1, 1), "line 2, field 'language'"),
        (line("en", "neutral", " ", "B", 1, 1), "line 2, field 'sentence1': must be a string that is not blank"),
        ("en\tneutral", "line 2: a line must have 19 fields separated by tabs"),
    ],
)
def test_what_does_not_fit_is_named(write: Write, bad: str, says: str) -> None:
    folder = str(write("xnli.dev.tsv", table(bad)).parent)
    with pytest.raises(DataError, match=says):
        list(Xnli(folder, ("en",), "monolingual", ("dev",), "x_x").passages(Problems()))


def test_a_file_of_the_release_that_is_missing_is_named(folder: str) -> None:
    with pytest.raises(DataError, match=r"xnli.test.tsv.*Did you mean 'xnli.dev.tsv'|no such file"):
        list(Xnli(folder, ("en",), "monolingual", ("test",), "x_x").passages(Problems()))
