from pathlib import Path

import pytest

from xdr.retrieval.trec_runs import read_run, write_run


def test_a_run_reads_back_as_it_was_written(tmp_path: Path) -> None:
    run = {"q2": {"b": 2.5, "a": 0.25}, "q1": {"c": -1.0}}
    write_run(tmp_path / "a.trec", run)
    assert read_run(tmp_path / "a.trec") == run
    assert (tmp_path / "a.trec").read_text().splitlines()[0] == "q2 Q0 b 1 2.5 xdr"


def test_lines_in_any_order_are_read_best_first_and_ties_by_passage_id(tmp_path: Path) -> None:
    (tmp_path / "a.trec").write_text("q Q0 b 1 1 t\nq Q0 c 9 2 t\nq Q0 a 2 1 t\n")
    assert list(read_run(tmp_path / "a.trec")["q"].items()) == [("c", 2), ("a", 1), ("b", 1)]


def test_a_run_of_ties_is_written_in_the_order_of_its_ids(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", {"q": {"b": 1.0, "a": 1.0, "c": 0.0}})
    assert list(read_run(tmp_path / "a.trec")["q"]) == ["a", "b", "c"]


@pytest.mark.parametrize("passage_id", ["", "a b", "a\n"])
def test_an_id_that_a_run_cannot_hold_is_refused(tmp_path: Path, passage_id: str) -> None:
    with pytest.raises(ValueError, match="a passage id of a TREC run must not be empty or contain blanks"):
        write_run(tmp_path / "a.trec", {"q": {passage_id: 1.0}})
    assert not list(tmp_path.iterdir())
