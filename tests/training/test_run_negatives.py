import json
from pathlib import Path

import pytest

from xdr.data.collection_folder import CollectionFolder
from xdr.data.problems import Problems
from xdr.errors import DataError, UserError
from xdr.training.run_negatives import training_examples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {"p1": "the relevant one", "p2": "holds Saimaa as well", "p3": "about Volga", "p4": "about Nile"}
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"docid": k, "text": v}) + "\n" for k, v in texts.items()))
    line = {"query_id": "q", "query": "?", "lang": "fi", "answers": ["Saimaa", "no"]}
    line["positive_passages"] = [{"docid": "p1", "text": "the relevant one", "score": 2}]
    line["negative_passages"] = [{"docid": "p3", "text": "about Volga", "score": 1}]
    (tmp_path / "train.jsonl").write_text(json.dumps(line))
    return tmp_path


def negatives(folder: Path, run: str) -> list[str]:
    (folder / "run.trec").write_text(run)
    (example,) = training_examples(
        CollectionFolder(str(folder)), str(folder / "run.trec"), None, None, folder / "a", Problems()
    )
    return [passage.passage_id for passage in example.negatives]


def test_relevant_and_answer_bearing_passages_are_no_negatives(folder: Path) -> None:
    run = "".join(f"q Q0 {passage_id} 1 {score} t\n" for passage_id, score in (("p4", 1), ("p1", 9), ("p2", 8), ("p3", 2.5)))
    assert negatives(folder, run) == ["p3", "p4"]


def test_negatives_of_a_run_have_no_teacher_scores(folder: Path) -> None:
    (folder / "run.trec").write_text("q Q0 p4 1 1 t\n")
    for run, expected in ((None, (1.0,)), (str(folder / "run.trec"), ())):
        (example,) = training_examples(CollectionFolder(str(folder)), run, None, None, folder / "a", Problems())
        assert (example.positive_scores, example.negative_scores) == ((2.0,), expected)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("q Q0 p9 1 1 t\n", "1 passage ids are not in the collection: p9"),
        ("other Q0 p3 1 1 t\n", "ranks passages for none of the 1 training queries"),
        ("q Q0 p3 1 1\n", "line 1: a line must have 6 fields, got 5"),
        ("q Q0 p3 1 high t\n", "line 1: score must be a number, got 'high'"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(folder: Path, run: str, says: str) -> None:
    with pytest.raises((DataError, UserError), match=says):
        negatives(folder, run)
