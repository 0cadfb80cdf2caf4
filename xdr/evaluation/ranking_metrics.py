"""Metrics of a ranking against judgements, per query; equal to trec_eval's.

A passage is relevant if its judgement is above zero; unjudged ones are not. Q queries, G the most relevant passages that one of
them has. A query without relevant passages has no value: nan.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xdr.evaluation.metric_names import ANSWER_RECALL, OF_POOLS, Metric

Values = NDArray[np.float64]
Judged = Mapping[Any, int]
"""The relevance of passages, by row or id."""


@dataclass(frozen=True)
class RelevantRanks:
    """All that the metrics need of rankings: the rank, from 1, of each relevant passage, the best placed first, inf where it
    was not retrieved, and its relevance. Where a query has fewer than G, inf and 0 fill the row."""

    ranks_QG: Values
    relevances_QG: Values

    @property
    def num_relevant(self) -> Values:
        """nan for none, so that what is divided by it is nan."""
        number_Q = (self.relevances_QG > 0).sum(1).astype(np.float64)
        return np.where(number_Q > 0, number_Q, np.nan)


def relevant_ranks(rankings: Iterable[ArrayLike], judgements: Sequence[Judged]) -> RelevantRanks:
    """`rankings[q]` are passages, best first; `judgements[q]` the relevance of passages for the same query."""
    pairs = [_ranked_judgements(ranking, judged) for ranking, judged in zip(rankings, judgements, strict=True)]
    ranks_QG = np.full((len(pairs), max(map(len, pairs), default=0)), np.inf)
    relevances_QG = np.zeros_like(ranks_QG)
    for q, ranked in enumerate(pairs):
        if ranked:
            ranks_QG[q, : len(ranked)], relevances_QG[q, : len(ranked)] = zip(*ranked, strict=True)
    return RelevantRanks(ranks_QG, relevances_QG)


def _ranked_judgements(ranking: ArrayLike, judged: Judged) -> list[tuple[float, int]]:
    relevant = {passage: relevance for passage, relevance in judged.items() if relevance > 0}
    found = [(float(rank), relevant.pop(passage)) for rank, passage in retrieved(ranking, relevant)]
    return found + [(np.inf, relevance) for relevance in relevant.values()]


def retrieved(ranking: ArrayLike, passages: Collection[Any]) -> list[tuple[int, Any]]:
    """Those of the passages that are in the ranking, each with its rank from 1, the best placed first."""
    ranking_K = np.asarray(ranking)
    places = np.flatnonzero(np.isin(ranking_K, list(passages)))
    found = ranking_K[places].tolist()
    assert len(set(found)) == len(found), "a passage stands once in a ranking"
    return list(zip((places + 1).tolist(), found, strict=True))


def recall(ranked: RelevantRanks, cutoff: int) -> Values:
    """The share of the relevant passages among the first `cutoff`."""
    found_Q: Values = (ranked.ranks_QG <= cutoff).sum(1) / ranked.num_relevant
    return found_Q


def success(ranked: RelevantRanks, cutoff: int) -> Values:
    """1 if a relevant passage is among the first `cutoff`."""
    return (recall(ranked, cutoff) > 0) + 0 * ranked.num_relevant


def reciprocal_rank(ranked: RelevantRanks, cutoff: int) -> Values:
    """1 / rank of the best placed relevant passage; 0 below the cutoff."""
    best_Q = np.min(ranked.ranks_QG, axis=1, initial=np.inf)
    return np.where(best_Q <= cutoff, 1 / best_Q, 0) + 0 * ranked.num_relevant


def ndcg(ranked: RelevantRanks, cutoff: int) -> Values:
    """DCG of the ranking over that of the best possible one, both cut; DCG = sum of relevance / log2(rank + 1). The gain is
    linear, as in trec_eval; others take 2^relevance - 1."""
    discounts_QG = np.where(ranked.ranks_QG <= cutoff, 1 / np.log2(ranked.ranks_QG + 1), 0)
    best_QG = -np.sort(-ranked.relevances_QG, axis=1)[:, :cutoff]
    best_discounts_G = 1 / np.log2(np.arange(best_QG.shape[1]) + 2)
    found_Q: Values = (ranked.relevances_QG * discounts_QG).sum(1)
    return found_Q / (best_QG @ best_discounts_G + 0 * ranked.num_relevant)


def average_precision(ranked: RelevantRanks, cutoff: int | None) -> Values:
    """The mean, over all relevant passages, of the precision at the rank of each; 0 for those not retrieved. Its mean over
    queries is MAP. XTREME's mAP@20 divides by min(number of relevant passages, 20) instead: the same up to 20 of them."""
    depth = np.finfo(np.float64).max if cutoff is None else cutoff
    num_up_to_G = np.arange(1, ranked.ranks_QG.shape[1] + 1)
    precisions_QG = np.where(ranked.ranks_QG <= depth, num_up_to_G / ranked.ranks_QG, 0)
    found_Q: Values = precisions_QG.sum(1)
    return found_Q / ranked.num_relevant


_WITH_CUTOFF: dict[str, Callable[[RelevantRanks, int], Values]] = {
    "recall": recall,
    "success": success,
    "MRR": reciprocal_rank,
    "nDCG": ndcg,
}


def metric_values(metric: Metric, ranked: RelevantRanks) -> Values:
    """A value for each query."""
    assert metric.measure != ANSWER_RECALL, "R is scored by the passages' texts: answer_recall"
    assert metric.measure not in OF_POOLS, "these need the passages' languages: language_pools"
    if metric.measure == "MAP":
        return average_precision(ranked, metric.cutoff)
    assert metric.cutoff is not None
    return _WITH_CUTOFF[metric.measure](ranked, metric.cutoff)
