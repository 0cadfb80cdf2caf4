"""Generated questions as training data."""

import json
from pathlib import Path

import pytest

from xdr.benchmarks.generated_pairs import GeneratedPairs
from xdr.data.problems import Problems
from xdr.errors import DataError

ROWS = [
    {"docid": "p1", "title": "Rome", "text": "Rome is old.", "generated_queries": {"fi": ["Mikä?", "Missä?"], "te": ["ఏమిటి?"]}},
    {"docid": "p2", "title": "", "text": "Oslo is cold.", "generated_queries": {}},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_each_question_is_an_example_with_its_passage(file: Path) -> None:
    examples = list(GeneratedPairs(str(file), None, 0).examples("train", Problems()))
    assert [(each.query.query_id, each.query.text) for each in examples] == [
        ("p1:fi:0", "Mikä?"),
        ("p1:fi:1", "Missä?"),
        ("p1:te:0", "ఏమిటి?"),
    ]
    assert {each.positives[0].text for each in examples} == {"Rome is old."}
    assert list(GeneratedPairs(str(file), None, 0).examples("dev", Problems())) == []
    assert [passage.title for passage in GeneratedPairs(str(file), None, 0).passages(Problems())] == ["Rome", ""]


def test_languages_and_the_first_questions_can_be_chosen(file: Path) -> None:
    pairs = GeneratedPairs(str(file), ("fi",), 1)
    assert [each.query.text for each in pairs.examples("train", Problems())] == ["Mikä?"]


def test_a_file_that_is_missing_and_a_bad_line_are_named(file: Path) -> None:
    with pytest.raises(DataError, match="data.path must be a file of stage=export"):
        GeneratedPairs(str(file.parent / "nothing.jsonl"), None, 0)
    file.write_text('{"docid": "p1", "text": "Rome is old.", "generated_queries": {"fi": 3}}\n')
    with pytest.raises(DataError, match="line 1"):
        list(GeneratedPairs(str(file), None, 0).examples("train", Problems()))
