"""The sample is the project's face: what can be checked without reading eight languages is checked here."""

import json
import unicodedata
from collections import Counter, defaultdict

import pytest

from xdr.benchmarks.sample import FOLDER, Sample
from xdr.data.problems import Problems
from xdr.text.identification import LanguageCheck
from xdr.text.languages import XOR_TYDI
from xdr.text.records import Passage, Query


@pytest.fixture(scope="module")
def passages() -> dict[str, Passage]:
    return {passage.passage_id: passage for passage in Sample().passages(Problems())}


@pytest.fixture(scope="module")
def queries() -> dict[str, list[Query]]:
    return {split: list(Sample().queries(split, Problems())) for split in ("train", "dev")}


@pytest.fixture(scope="module")
def relevant() -> dict[str, tuple[str, str]]:
    """query id -> (passage id, split)"""
    return {j.query_id: (j.passage_id, split) for split in ("train", "dev") for j in Sample().judgements(split, Problems())}


def test_there_are_144_passages_of_60_to_120_words(passages: dict[str, Passage]) -> None:
    assert len(passages) == 144
    assert len({passage.title for passage in passages.values()}) == 144
    for passage in passages.values():
        assert 60 <= len(passage.text.split()) <= 120, passage.title


def test_each_passage_has_two_training_and_one_dev_question_in_each_language(
    queries: dict[str, list[Query]], relevant: dict[str, tuple[str, str]]
) -> None:
    for split, number in (("train", 2), ("dev", 1)):
        counts = Counter((relevant[query.query_id][0], query.language) for query in queries[split])
        assert set(counts.values()) == {number}
        assert len(counts) == 144 * len(XOR_TYDI)


def test_every_answer_stands_in_its_passage(
    queries: dict[str, list[Query]], relevant: dict[str, tuple[str, str]], passages: dict[str, Passage]
) -> None:
    for query in [*queries["train"], *queries["dev"]]:
        (answer,) = query.answers
        assert passages[relevant[query.query_id][0]].text.count(answer) == 1
        assert answer.casefold() not in query.text.casefold(), "a question does not give its answer away"


def test_the_paragraph_files_agree_with_the_question_files(queries: dict[str, list[Query]]) -> None:
    for split in ("train", "dev"):
        examples = list(Sample().examples(split, Problems()))
        assert [example.query for example in examples] == queries[split]
        items = json.loads((FOLDER / f"gp_squad_{split}_data.json").read_text(encoding="utf-8"))["data"]
        for item in items:
            (paragraph,) = item["paragraphs"]
            (answer,) = paragraph["qas"][0]["answers"]
            assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])


def test_questions_are_in_the_script_of_their_language(queries: dict[str, list[Query]]) -> None:
    for query in [*queries["train"], *queries["dev"]]:
        assert LanguageCheck(None).is_language(query.text, query.language, minimum_share=0.7), query
        assert unicodedata.is_normalized("NFC", query.text)
        assert query.text == " ".join(query.text.split())
        assert query.text.endswith(("?", "？", "؟", "。")), query


def test_no_question_comes_twice(queries: dict[str, list[Query]]) -> None:
    everything = [*queries["train"], *queries["dev"]]
    assert len({query.query_id for query in everything}) == len(everything) == 3456
    assert not [text for text, number in Counter(query.text for query in everything).items() if number > 1]


def test_what_is_asked_in_dev_is_asked_in_no_training_question_of_any_language(
    queries: dict[str, list[Query]], relevant: dict[str, tuple[str, str]]
) -> None:
    asked: dict[str, dict[str, set[str]]] = {"train": defaultdict(set), "dev": defaultdict(set)}
    for split in asked:
        for query in queries[split]:
            asked[split][relevant[query.query_id][0]].update(query.answers)
    for passage_id, answers in asked["dev"].items():
        assert not answers & asked["train"][passage_id]
