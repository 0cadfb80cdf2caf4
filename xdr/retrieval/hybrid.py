"""Two rankings fused into one, such as a dense system's and BM25's. A passage that only one of them ranks gets nothing from
the other.

Q queries, K ranks of the first, R of the second, C passages of both.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError
from xdr.retrieval.rankings import NO_PASSAGE, PassageIds, Rankings, top_k


class Hybrid(Protocol):
    def shares(self, system: Rankings, run: Rankings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each place of the two adds to the score of its passage: shares_QK, shares_QR."""
        ...


@dataclass(frozen=True)
class ReciprocalRanks:
    k: int

    def __post_init__(self) -> None:
        if self.k < 0:
            raise UserError(f"hybrid.k must be at least 0, got {self.k}")

    def shares(self, system: Rankings, run: Rankings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._shares(system), self._shares(run)

    def _shares(self, ranking: Rankings) -> NDArray[np.float64]:
        shares_R = 1 / (self.k + np.arange(1.0, ranking.rows_QK.shape[1] + 1))
        return np.broadcast_to(shares_R, ranking.rows_QK.shape)


@dataclass(frozen=True)
class WeightedScores:
    weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise UserError(f"hybrid.weight must be from 0 to 1, got {self.weight}")

    def shares(self, system: Rankings, run: Rankings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (1 - self.weight) * _from_0_to_1(system), self.weight * _from_0_to_1(run)


def _from_0_to_1(ranking: Rankings) -> NDArray[np.float64]:
    scores_QK, is_there_QK = ranking.scores_QK.astype(np.float64), ranking.rows_QK != NO_PASSAGE
    least_Q1 = np.min(scores_QK, axis=1, keepdims=True, where=is_there_QK, initial=np.inf)
    most_Q1 = np.max(scores_QK, axis=1, keepdims=True, where=is_there_QK, initial=-np.inf)
    range_Q1 = np.where(most_Q1 > least_Q1, most_Q1 - least_Q1, 1.0)
    return np.where(is_there_QK, (scores_QK - np.where(is_there_QK, least_Q1, 0.0)) / range_Q1, 0.0)


def fused(hybrid: Hybrid, system: Rankings, run: Rankings, passage_ids: PassageIds) -> Rankings:
    """As many passages as the system ranks, which must rank that many for each query. The run may have `NO_PASSAGE`."""
    shares_QC = np.concatenate(hybrid.shares(system, run), axis=1)
    rows_QC = np.concatenate([system.rows_QK, run.rows_QK], axis=1)
    is_there_QC = rows_QC != NO_PASSAGE
    num_rows = int(rows_QC.max()) + 1
    queries_QC = np.broadcast_to(np.arange(len(rows_QC))[:, None], rows_QC.shape)
    keys, places = np.unique((queries_QC * num_rows + rows_QC)[is_there_QC], return_inverse=True)
    sums = np.bincount(places, weights=shares_QC[is_there_QC])
    queries, rows = np.divmod(keys, num_rows)
    columns = np.arange(len(keys)) - np.searchsorted(queries, queries)  # of each passage among those of its query
    scores_QC = np.full((len(rows_QC), int(columns.max()) + 1), -np.inf, np.float32)
    both_QC = np.zeros(scores_QC.shape, np.int64)
    scores_QC[queries, columns], both_QC[queries, columns] = sums, rows
    return top_k(scores_QC, both_QC, system.rows_QK.shape[1], passage_ids)
