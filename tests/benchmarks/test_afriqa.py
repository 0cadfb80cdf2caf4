import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from xdr.benchmarks.afriqa import AfriQa
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Query

Write = Callable[[str, str | bytes], Path]

GOLD = {
    "answer_pivot": {"answer_start": [0], "text": ["London"]},
    "context": "London is a city.",
    "id": "3",
    "question_lang": "A ina yake?",
    "question_translated": "Where is it?",
    "title": None,
    "answer_lang": "Landan",
}


@pytest.fixture
def folder(write: Write) -> Path:
    lines = [GOLD, {**GOLD, "id": "4", "context": None}, {**GOLD, "id": "5"}]
    write("gold_passages/hau/gold_span_passages.afriqa.hau.en.dev.json", "\n".join(map(json.dumps, lines)) + "\n\n")
    write("gold_passages/hau/gold_span_passages.afriqa.hau.en.train.json", json.dumps(GOLD))
    write("gold_passages/fon/gold_span_passages.afriqa.fon.fr.dev.json", json.dumps(GOLD))
    return write("queries/README.md", "").parents[1]


def test_gold_passages_are_a_collection_with_judged_questions(folder: Path) -> None:
    benchmark = AfriQa(str(folder), ("hausa",), "original")
    problems = Problems()
    (passage,) = benchmark.passages(problems)
    assert (passage.title, passage.text, passage.language) == ("", "London is a city.", "en")
    assert problems.report() == ["1 gold passages without text"]
    queries = list(benchmark.queries("dev", Problems()))
    assert queries == [Query(f"ha-dev-{i}", "A ina yake?", "ha", ("London",)) for i in (3, 5)]
    assert list(benchmark.judgements("train", Problems())) == [Judgement("ha-train-3", passage.passage_id, 1)]


def test_a_test_split_is_read_where_the_release_has_one(folder: Path, write: Write) -> None:
    """Of Swahili the release has only that."""
    write("gold_passages/swa/gold_span_passages.afriqa.swa.en.test.json", json.dumps({**GOLD, "context": "Paris is another."}))
    benchmark = AfriQa(str(folder), ("ha", "sw"), "original")
    assert [query.query_id for query in benchmark.queries("test", Problems())] == ["sw-test-3"]
    passages = {passage.text: passage.passage_id for passage in benchmark.passages(Problems())}
    assert list(passages) == ["London is a city.", "Paris is another."]
    assert list(benchmark.judgements("test", Problems())) == [Judgement("sw-test-3", passages["Paris is another."], 1)]
    assert list(AfriQa(str(folder), ("ha",), "original").queries("test", Problems())) == []


def test_translated_questions_are_in_the_passages_language(folder: Path) -> None:
    benchmark = AfriQa(str(folder), ("ha", "fon"), "translated")
    queries = list(benchmark.queries("dev", Problems()))
    assert {(query.text, query.language) for query in queries} == {("Where is it?", "en"), ("Where is it?", "fr")}
    assert {(twin.text, twin.language) for e in benchmark.examples("dev", Problems()) for twin in e.twins} == {
        ("A ina yake?", "ha"),
        ("A ina yake?", "fon"),
    }


def test_the_twin_of_a_question_is_its_translation(folder: Path) -> None:
    (example,) = AfriQa(str(folder), ("ha",), "original").examples("train", Problems())
    assert example.twins == (replace(example.query, text="Where is it?", language="en"),)


def test_what_cannot_be_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="AfriQA has no 'te'"):
        AfriQa(str(folder), ("te",), "original")
    with pytest.raises(DataError, match="there is no folder for 'zu'"):
        list(AfriQa(str(folder), ("zu",), "original").passages(Problems()))
    with pytest.raises(DataError, match="gold_passages"):
        AfriQa(str(folder / "queries"), ("ha",), "original")


def test_the_real_files_are_read_whole(real_data: Callable[[str], Path]) -> None:
    languages = ("bem", "fon", "ha", "ig", "rw", "tw", "yo", "zu")
    benchmark = AfriQa(str(real_data("afriqa") / "data"), languages, "original")
    problems = Problems()
    train, dev = list(benchmark.examples("train", problems)), list(benchmark.examples("dev", problems))
    assert (len(train), len(dev)) == (2_092, 1_855)
    assert problems.omitted == {"gold passages without text": 152}
    passages = list(benchmark.passages(Problems()))
    assert len({passage.passage_id for passage in passages}) == len(passages) > 3_000


def test_a_tenth_of_train_can_be_held_out_to_choose_settings_on(real_data: Callable[[str], Path]) -> None:
    folder, languages = str(real_data("afriqa") / "data"), ("bem", "ha", "ig", "rw", "tw", "yo", "zu")
    released, held_out = (AfriQa(folder, languages, "original", holdout) for holdout in ("none", "tenth"))
    train, dev, test = (list(held_out.examples(split, Problems())) for split in ("train", "dev", "test"))
    assert sorted(train + dev, key=str) == sorted(released.examples("train", Problems()), key=str)
    assert test == list(released.examples("dev", Problems()))
    assert len(dev) == pytest.approx(len(train) / 9, rel=0.25)
    assert not {example.positives for example in train} & {example.positives for example in dev}
    assert list(held_out.passages(Problems())) == list(released.passages(Problems()))
