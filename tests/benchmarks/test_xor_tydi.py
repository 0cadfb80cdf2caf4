import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.xor_tydi import XorTydi, article_title, read_gold_paragraphs, read_questions
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Passage, Query

Write = Callable[[str, str | bytes], Path]

QUESTION = {"id": "-27", "question": "Где течёт Волга?", "answers": ["Russia"], "lang": " ru", "split": "train"}


def gold(query_id: str = "-27", **change: object) -> dict:
    qas = [{"id": query_id, "question": " Где? ", "lang": "ru", "answers": [{"text": "Russia", "answer_start": 4}]}]
    return {
        "title": "Title:Volga_parentSection:Course_paragraphs:2",
        "paragraphs": [{"context": "The\nVolga is in Russia.\n", "qas": qas}],
        **change,
    }


def xor_tydi(folder: Path, examples_from: str = "tevatron") -> XorTydi:
    return XorTydi(str(folder), "q.jsonl", "q.jsonl", "q.jsonl", "p.tsv", "t.jsonl", "g.json", "g.json", examples_from)


def test_questions_are_read_with_and_without_answers(write: Write) -> None:
    test_question = {key: value for key, value in QUESTION.items() if key != "answers"} | {"id": "5"}
    path = write("q.jsonl", json.dumps(QUESTION) + "\n" + json.dumps(test_question) + "\n\n")
    text = "Где течёт Волга?"
    assert list(read_questions(path, Problems())) == [Query("-27", text, "ru", ("Russia",)), Query("5", text, "ru")]


def test_an_id_that_comes_twice_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="line 2, field 'id': ids must be unique, got '-27' again"):
        list(read_questions(write("q.jsonl", (json.dumps(QUESTION) + "\n") * 2), Problems()))


def test_gold_paragraphs_follow_the_released_recipe(write: Write) -> None:
    """First paragraph and question of an item, the section cut off the title, newlines as blanks, one of each id."""
    problems = Problems()
    path = write("g.json", json.dumps({"version": "1", "data": [gold(), gold()]}))
    (example,) = read_gold_paragraphs(path, problems, lambda title, text: "p1")
    assert example.query == Query("-27", "Где?", "ru", ("Russia",))
    assert example.positives == (Passage("p1", "Volga", "The Volga is in Russia."),)
    assert problems.report() == ["1 gold paragraphs of a question that has one already"]


@pytest.mark.parametrize(("title", "article"), [("title:A b_parentSection:", "A b"), ("Plain", "Plain"), ("Title:X", "X")])
def test_an_article_s_title(title: str, article: str) -> None:
    assert article_title(title) == article


@pytest.mark.parametrize("item", [gold(paragraphs=[]), gold(paragraphs=[{"context": "x", "qas": []}]), gold(paragraphs=3)])
def test_an_item_without_question_is_named(write: Write, item: dict) -> None:
    with pytest.raises(DataError, match=r"field 'data\[1\]\.paragraphs'"):
        list(read_gold_paragraphs(write("g.json", json.dumps({"data": [gold(), item]})), Problems()))


def test_tevatron_s_lines_take_their_language_from_the_official_question(write: Write) -> None:
    write("q.jsonl", json.dumps(QUESTION))
    passages = [{"docid": "1", "title": "Volga", "text": "x"}]
    by_id = {"query_id": "-27", "query": "?", "positive_passages": passages, "negative_passages": []}
    by_words = {**by_id, "query_id": "99", "query": "Где течёт Волга?"}
    path = write("t.jsonl", json.dumps(by_id) + "\n" + json.dumps(by_words))
    examples = list(xor_tydi(path.parent).examples("train", Problems()))
    assert [example.query.language for example in examples] == ["ru", "ru"]
    write("t.jsonl", json.dumps({**by_id, "query_id": "99"}))
    with pytest.raises(DataError, match="the line has no language"):
        list(xor_tydi(path.parent).examples("train", Problems()))
    assert list(xor_tydi(path.parent).judgements("dev", Problems())) == []


@pytest.mark.parametrize("examples_from", ["tevatron", "gold_paragraphs"])
def test_dev_examples_are_gold_paragraphs_wherever_those_to_train_on_come_from(write: Write, examples_from: str) -> None:
    path = write("g.json", json.dumps({"data": [gold()]}))
    (example,) = xor_tydi(path.parent, examples_from).examples("dev", Problems())
    assert example.query.text == "Где?" and example.positives[0].text == "The Volga is in Russia."


def test_the_real_questions_are_read_whole(real_data: Callable[[str], Path]) -> None:
    folder = real_data("xor-tydi")
    train = list(read_questions(folder / "xor_train_retrieve_eng_span.jsonl", Problems()))
    dev = list(read_questions(folder / "xor_dev_retrieve_eng_span_v1_1.jsonl", Problems()))
    assert (len(train), len(dev)) == (15_250, 2_110)
    assert Counter(query.language for query in train)["ar"] == 2_574
    assert sum(any(answer not in ("yes", "no") for answer in query.answers) for query in dev) == 1_928
