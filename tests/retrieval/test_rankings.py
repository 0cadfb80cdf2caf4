from pathlib import Path

import numpy as np
import pytest

from xdr.errors import DataError
from xdr.retrieval.rankings import Rankings, merge_rankings, top_k, write_run
from xdr.retrieval.trec_runs import read_run

IDS = ["d", "a", "c", "b", "e"]


def passage_ids(rows: np.ndarray) -> list[str]:
    return [IDS[row] for row in rows]


def rankings(scores: list[list[float]], rows: list[list[int]]) -> Rankings:
    return Rankings(np.array(scores, np.float32), np.array(rows))


def test_ties_are_broken_by_id_also_where_k_cuts_through_them() -> None:
    scores = np.array([[1, 1, 2, 1, 1], [5, 4, 3, 2, 1]], np.float32)
    found = top_k(scores, np.array([[0, 1, 2, 3, 4]] * 2), 3, passage_ids)
    assert [passage_ids(rows) for rows in found.rows_QK] == [["c", "a", "b"], ["d", "a", "c"]]
    assert found.scores_QK.tolist() == [[2, 1, 1], [5, 4, 3]]


def test_padding_is_never_ranked() -> None:
    found = top_k(np.array([[-np.inf, 1, -np.inf, 0]], np.float32), np.array([[0, 3, 0, 2]]), 2, passage_ids)
    assert found.rows_QK.tolist() == [[3, 2]]


def test_parts_merge_in_any_order() -> None:
    one, other = rankings([[3, 1]], [[0, 1]]), rankings([[3, 2]], [[3, 4]])
    for parts in ([one, other], [other, one]):
        merged = merge_rankings(parts, 3, passage_ids)
        assert passage_ids(merged.rows_QK[0]) == ["b", "d", "e"]


def test_a_run_has_six_fields_and_scores_in_full(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", ["q1"], rankings([[0.1, -2]], [[1, 0]]), passage_ids, "sum-a0.01")
    assert (tmp_path / "a.trec").read_text() == "q1 Q0 a 1 0.10000000149011612 sum-a0.01\nq1 Q0 d 2 -2.0 sum-a0.01\n"


def test_written_scores_descend_strictly_so_that_no_reader_breaks_a_tie_otherwise(tmp_path: Path) -> None:
    """Four ties, and a score that the last of them, three steps lower, reaches."""
    next_below = np.nextafter(np.float32(1), np.float32(0))
    tied = rankings([[1, 1, 1, 1, float(next_below)]], [[1, 3, 2, 0, 4]])
    write_run(tmp_path / "a.trec", ["q"], tied, passage_ids, "t")
    scores = [float(line.split()[4]) for line in (tmp_path / "a.trec").read_text().splitlines()]
    assert scores == sorted(set(scores), reverse=True)
    assert [np.float32(score) for score in scores] == scores, "trec_eval reads float32, and still sees five scores"
    assert scores[0] == 1 and scores[4] > 1 - 1e-6
    assert list(read_run(tmp_path / "a.trec")["q"]) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("query_id", "row_name", "tag", "says"),
    [
        ("q 1", "a", "t", "a query id of a TREC run must not be empty or contain blanks, got 'q 1'"),
        ("q", "a b", "t", "passage id .* got 'a b'"),
        ("q", "a", "t\n", r"system id .* got 't\\n'"),
        ("", "a", "t", "query id .* got ''"),
    ],
)
def test_names_that_a_run_cannot_hold_are_refused(tmp_path: Path, query_id: str, row_name: str, tag: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        write_run(tmp_path / "a.trec", [query_id], rankings([[1]], [[0]]), lambda rows: [row_name], tag)
    assert not list(tmp_path.iterdir())
