"""Metrics of rankings against qrels, one value a query; equal to trec_eval's.

A passage is relevant if its relevance is above 0; passages without a judgement are not relevant. A query without relevant
passages has no value: nan. Every metric is a function of `RelevantRanks`, also in the validation of a training.

Q queries, K ranks, G the largest number of relevant passages of a query.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xdr.evaluation.metric_names import ANSWER_RECALL, OF_POOLS, Metric

Values: TypeAlias = NDArray[np.float64]
Relevance: TypeAlias = Mapping[Any, int]
"""The relevance of the passages that were judged for a query, by row or id."""


@dataclass(frozen=True)
class RelevantRanks:
    """The ranks, from 1, of each query's relevant passages in ascending order, and their relevance. The rank of a passage that
    was not retrieved is inf. Queries with fewer than G relevant passages are filled with rank inf and relevance 0."""

    ranks_QG: Values
    relevances_QG: Values

    @property
    def num_relevant(self) -> Values:
        """nan for none, so that a quotient is nan."""
        number_Q = (self.relevances_QG > 0).sum(1).astype(np.float64)
        return np.where(number_Q > 0, number_Q, np.nan)


def relevant_ranks(rankings: Iterable[ArrayLike], qrels: Sequence[Relevance]) -> RelevantRanks:
    """`rankings[q]` are passages, best first; `qrels[q]` is the relevance of passages for the same query."""
    pairs = [_ranked_relevance(ranking, relevance) for ranking, relevance in zip(rankings, qrels, strict=True)]
    ranks_QG = np.full((len(pairs), max(map(len, pairs), default=0)), np.inf)
    relevances_QG = np.zeros_like(ranks_QG)
    for q, ranked in enumerate(pairs):
        if ranked:
            ranks_QG[q, : len(ranked)], relevances_QG[q, : len(ranked)] = zip(*ranked, strict=True)
    return RelevantRanks(ranks_QG, relevances_QG)


def _ranked_relevance(ranking: ArrayLike, relevance: Relevance) -> list[tuple[float, int]]:
    relevant = {passage: value for passage, value in relevance.items() if value > 0}
    ranked = [(float(rank), relevant.pop(passage)) for rank, passage in retrieved(ranking, relevant)]
    return ranked + [(np.inf, value) for value in relevant.values()]


def retrieved(ranking: ArrayLike, passages: Collection[Any]) -> list[tuple[int, Any]]:
    """The passages that are in the ranking, each with its rank from 1, best first."""
    ranking_K = np.asarray(ranking)
    places = np.flatnonzero(np.isin(ranking_K, list(passages)))
    ranked = ranking_K[places].tolist()
    assert len(set(ranked)) == len(ranked), "a ranking has each passage once"
    return list(zip((places + 1).tolist(), ranked, strict=True))


def precision(ranked: RelevantRanks, cutoff: int) -> Values:
    """The share of relevant passages among the first `cutoff`, also where fewer are relevant or retrieved."""
    precision_Q: Values = (ranked.ranks_QG <= cutoff).sum(1) / cutoff + 0 * ranked.num_relevant
    return precision_Q


def recall(ranked: RelevantRanks, cutoff: int) -> Values:
    """The share of the relevant passages among the first `cutoff`."""
    recall_Q: Values = (ranked.ranks_QG <= cutoff).sum(1) / ranked.num_relevant
    return recall_Q


def success(ranked: RelevantRanks, cutoff: int) -> Values:
    """1 if a relevant passage is among the first `cutoff`."""
    return (recall(ranked, cutoff) > 0) + 0 * ranked.num_relevant


def reciprocal_rank(ranked: RelevantRanks, cutoff: int) -> Values:
    """1 / rank of the first relevant passage; 0 if it is below the cutoff."""
    best_Q = np.min(ranked.ranks_QG, axis=1, initial=np.inf)
    return np.where(best_Q <= cutoff, 1 / best_Q, 0) + 0 * ranked.num_relevant


def ndcg(ranked: RelevantRanks, cutoff: int) -> Values:
    """The DCG of the first `cutoff` passages over that of the best possible ranking; DCG = sum of relevance / log2(rank + 1).
    The gain is linear as in trec_eval; other tools take 2^relevance - 1."""
    discounts_QG = np.where(ranked.ranks_QG <= cutoff, 1 / np.log2(ranked.ranks_QG + 1), 0)
    best_QG = -np.sort(-ranked.relevances_QG, axis=1)[:, :cutoff]
    best_discounts_G = 1 / np.log2(np.arange(best_QG.shape[1]) + 2)
    dcg_Q: Values = (ranked.relevances_QG * discounts_QG).sum(1)
    return dcg_Q / (best_QG @ best_discounts_G + 0 * ranked.num_relevant)


def average_precision(ranked: RelevantRanks, cutoff: int | None) -> Values:
    """The mean over all relevant passages of the precision at their ranks, 0 for those not retrieved. Its mean over queries is
    MAP. XTREME's mAP@20 divides by min(number of relevant passages, 20): the same for up to 20 relevant passages."""
    depth = np.finfo(np.float64).max if cutoff is None else cutoff
    num_up_to_G = np.arange(1, ranked.ranks_QG.shape[1] + 1)
    precisions_QG = np.where(ranked.ranks_QG <= depth, num_up_to_G / ranked.ranks_QG, 0)
    sums_Q: Values = precisions_QG.sum(1)
    return sums_Q / ranked.num_relevant


_WITH_CUTOFF: dict[str, Callable[[RelevantRanks, int], Values]] = {
    "precision": precision,
    "recall": recall,
    "success": success,
    "MRR": reciprocal_rank,
    "nDCG": ndcg,
}


def metric_values(metric: Metric, ranked: RelevantRanks) -> Values:
    """A value for each query."""
    assert metric.measure != ANSWER_RECALL, "R needs the texts of passages: answer_recall"
    assert metric.measure not in OF_POOLS, f"{metric.measure} needs more than ranks: language_pools"
    if metric.measure == "MAP":
        return average_precision(ranked, metric.cutoff)
    assert metric.cutoff is not None
    return _WITH_CUTOFF[metric.measure](ranked, metric.cutoff)
