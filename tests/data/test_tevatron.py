import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.data.problems import Problems
from xdr.data.tevatron import TevatronFiles, language_in_row, read_corpus, read_training_examples
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query, TrainingExample

Write = Callable[[str, str | bytes], Path]

LINE = {
    "query_id": 7,
    "query": "Missä Saimaa on?",
    "lang": " fi",
    "answers": ["Finland"],
    "positive_passages": [{"docid": "1", "title": None, "text": "Saimaa is in Finland."}],
    "negative_passages": [{"docid": "2", "title": "Volga", "text": "The Volga is in Russia."}],
}


def test_a_line_becomes_an_example(write: Write) -> None:
    (example,) = read_training_examples(write("t.jsonl", json.dumps(LINE)), Problems(), language_in_row)
    assert example == TrainingExample(
        Query("7", "Missä Saimaa on?", "fi", ("Finland",)),
        (Passage("1", "", "Saimaa is in Finland."),),
        (Passage("2", "Volga", "The Volga is in Russia."),),
    )


def test_answers_may_be_a_python_literal_and_may_be_missing(write: Write) -> None:
    literal, unescaped = "['a', \"b's\"]", "['People's Party', 'b']"
    lines = [
        {**LINE, "answers": literal},
        {**LINE, "answers": unescaped},
        {k: v for k, v in LINE.items() if k != "answers"},
    ]
    examples = read_training_examples(write("t.jsonl", "\n".join(map(json.dumps, lines))), Problems(), language_in_row)
    assert [example.query.answers for example in examples] == [("a", "b's"), ("People's Party", "b"), ()]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"query": None}, "field 'query': must be a string that is not blank, got null"),
        ({"query": " "}, "field 'query'"),
        ({"query": 3}, "field 'query': must be a string, got 3"),
        ({"query_id": 1.5}, "field 'query_id': must be a string or a whole number, got 1.5"),
        ({"query_id": "a b"}, "field 'query_id': must be without blanks"),
        ({"lang": "xx"}, "field 'lang': a language must be a BCP 47 tag .* got 'xx'"),
        ({"answers": "Finland"}, "field 'answers': must be a list of strings, got 'Finland'"),
        ({"answers": ["a", 3]}, "field 'answers'"),
        ({"positive_passages": []}, "field 'positive_passages': must have at least one passage, got none"),
        ({"positive_passages": {"docid": 1}}, "field 'positive_passages': must be a list of JSON objects"),
        ({"negative_passages": [{"docid": "1", "text": ""}]}, r"field 'negative_passages\[0\]\.text'"),
        ({"negative_passages": ["x"]}, r"field 'negative_passages': must be a list of JSON objects, got \['x'\]"),
        ({"query": "\ud800"}, "without NUL or half a surrogate pair"),
        ({"query": "a\0b"}, "without NUL"),
    ],
)
def test_a_wrong_field_is_named_with_file_line_and_what_came(write: Write, change: dict, says: str) -> None:
    path = write("t.jsonl", json.dumps(LINE) + "\n" + json.dumps({**LINE, **change}))
    with pytest.raises(DataError, match=says) as error:
        list(read_training_examples(path, Problems(), language_in_row))
    assert "t.jsonl, line 2" in str(error.value)


def test_a_missing_field_is_named_with_the_nearest_one(write: Write) -> None:
    line = json.dumps({"doc_id": "1", "title": "", "text": "x"})
    with pytest.raises(DataError, match="field 'docid': the field is missing.*Did you mean 'doc_id'"):
        list(read_corpus(write("c.jsonl", line), Problems()))


@pytest.mark.parametrize(
    ("line", "says"),
    [("{", "not valid JSON at column 2"), ("[1]", r"must be a JSON object, got \[1\]"), ("[" * 5000, "recursion")],
)
def test_a_line_that_is_no_object_is_named(write: Write, line: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(read_corpus(write("c.jsonl", line), Problems()))


def test_an_empty_file_is_an_error_in_either_mode(write: Write) -> None:
    for strict in (True, False):
        with pytest.raises(DataError, match="the file must have at least one record, got none"):
            list(read_corpus(write("c.jsonl", "\n\n"), Problems(strict)))


def test_the_passages_beside_a_question_are_its_judgements(write: Write) -> None:
    path = write("dev.jsonl", json.dumps(LINE))
    benchmark = TevatronFiles(corpus="unused", queries_by_split={"dev": str(path)}, language="fi")
    assert list(benchmark.judgements("dev", Problems())) == [Judgement("7", "1", 1), Judgement("7", "2", 0)]
    assert list(benchmark.queries("train", Problems())) == []


def test_a_teachers_scores_come_with_the_passages(write: Write) -> None:
    positives = [{**LINE["positive_passages"][0], "score": 3}]
    negatives = [{"docid": str(i), "text": "x", "score": score} for i, score in enumerate((0.5, -1.25))]
    scored = {**LINE, "positive_passages": positives, "negative_passages": negatives}
    unscored = {**LINE, "negative_passages": [{"docid": "2", "text": "x", "score": None}]}
    path = write("t.jsonl", json.dumps(scored) + "\n" + json.dumps(unscored))
    first, second = read_training_examples(path, Problems(), language_in_row)
    assert (first.positive_scores, first.negative_scores) == ((3.0,), (0.5, -1.25))
    assert (second.positive_scores, second.negative_scores) == ((), ())


@pytest.mark.parametrize(
    ("score", "says"),
    [
        ("high", r"field 'negative_passages\[0\]\.score': .*'high'"),
        (True, r"field 'negative_passages\[0\]\.score': .*True"),
        (float("nan"), r"field 'negative_passages\[0\]\.score': .*nan"),
        (10**400, r"field 'negative_passages\[0\]\.score'"),
        (None, "field 'negative_passages': all passages of a list must have a score, or none, got 1 scores for 2 passages"),
    ],
)
def test_scores_that_are_not_whole_are_refused(write: Write, score: object, says: str) -> None:
    negatives = [{"docid": "1", "text": "x", "score": score}, {"docid": "2", "text": "y", "score": 1.0}]
    path = write("t.jsonl", json.dumps({**LINE, "negative_passages": negatives}))
    with pytest.raises(DataError, match=says):
        list(read_training_examples(path, Problems(), language_in_row))
