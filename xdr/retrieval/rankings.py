"""Rankings: the top k passages of each query, best first, ties by passage id.

Q queries, K ranks, C candidates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdr.retrieval.trec_runs import write_rankings

NO_PASSAGE = -1
"""Fills the rows of a ranking that is shorter than others."""

PassageIds = Callable[[NDArray[np.int64]], list[str]]
"""From rows of a collection to passage ids."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """The passages that one system ranks. `rows_QK` are rows of the collection."""

    scores_QK: NDArray[np.float32]
    rows_QK: NDArray[np.int64]


def top_k(scores_QC: NDArray[np.float32], rows_QC: NDArray[np.int64], k: int, passage_ids: PassageIds) -> Rankings:
    """The k best candidates of each query, in order.

    Equal scores are ordered by passage id as strings, also where k cuts through them. Padding has the score -inf; every query
    must have k other candidates.
    """
    order_QC = np.argsort(-scores_QC, axis=1)
    scores_QC = np.take_along_axis(scores_QC, order_QC, axis=1)
    rows_QC = np.take_along_axis(rows_QC, order_QC, axis=1)
    assert scores_QC.shape[1] >= k and (scores_QC[:, k - 1] > -np.inf).all()
    tied = (scores_QC[:, :k] == scores_QC[:, 1 : k + 1]).any(axis=1) if scores_QC.shape[1] > k else _any_equal(scores_QC)
    if tied.any():
        rows_QC[tied] = _ordered_by_id(scores_QC[tied], rows_QC[tied], k, passage_ids)
    return Rankings(np.ascontiguousarray(scores_QC[:, :k]), np.ascontiguousarray(rows_QC[:, :k]))


def _any_equal(scores_QC: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((scores_QC[:, 1:] == scores_QC[:, :-1]).any(axis=1))


def _ordered_by_id(
    scores_QC: NDArray[np.float32], rows_QC: NDArray[np.int64], k: int, passage_ids: PassageIds
) -> NDArray[np.int64]:
    """Rows with equal scores are put in the order of their ids. Scores must descend."""
    equal_QC = scores_QC[:, 1:] == scores_QC[:, :-1]
    needs_id_QC = scores_QC >= scores_QC[:, k - 1 : k]
    needs_id_QC[:, 1:] &= equal_QC | np.pad(equal_QC[:, 1:], ((0, 0), (0, 1)))
    needs_id_QC[:, 0] &= equal_QC[:, 0]
    rows, places = np.unique(rows_QC[needs_id_QC], return_inverse=True)
    ids = passage_ids(rows)
    ranks = np.empty(len(rows), np.int64)
    ranks[sorted(range(len(rows)), key=ids.__getitem__)] = np.arange(len(rows))
    ranks_QC = np.zeros(rows_QC.shape, np.int64)
    ranks_QC[needs_id_QC] = ranks[places]
    return np.take_along_axis(rows_QC, np.lexsort((ranks_QC, -scores_QC), axis=1), axis=1)


def merge_rankings(parts: Sequence[Rankings], k: int, passage_ids: PassageIds) -> Rankings:
    """The top k over parts of a collection that were searched separately. Equals a search of the whole collection."""
    scores_QC = np.concatenate([part.scores_QK for part in parts], axis=1)
    return top_k(scores_QC, np.concatenate([part.rows_QK for part in parts], axis=1), k, passage_ids)


def write_run(path: Path, query_ids: Sequence[str], rankings: Rankings, passage_ids: PassageIds, tag: str) -> None:
    """Writes a TREC run. `xdr.retrieval.trec_runs.read_run` reads it."""
    rows, places = np.unique(rankings.rows_QK, return_inverse=True)
    ids = passage_ids(rows)
    places_QK: Any = places.reshape(rankings.rows_QK.shape).tolist()
    named = ([ids[place] for place in places_K] for places_K in places_QK)
    write_rankings(path, zip(query_ids, named, rankings.scores_QK, strict=True), tag)
