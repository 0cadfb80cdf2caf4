"""Ranks of relevant passages in a pool whose vectors are in memory.

Q: queries. P: passages. D: dimension. G: the most relevant passages that a query has.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from xdr.evaluation.per_query import PerQuery, means
from xdr.evaluation.ranking_metrics import RelevantRanks, recall, reciprocal_rank


def inner_products(queries_QD: Tensor, passages_PD: Tensor) -> Tensor:
    return queries_QD.float() @ passages_PD.T.float()


def relevant_ranks_in_pool(
    queries_QD: Tensor,
    passages_PD: Tensor,
    relevant: Sequence[Sequence[int]],
    block: int = 256,
    similarity: Callable[[Tensor, Tensor], Tensor] = inner_products,
) -> RelevantRanks:
    """Ranks every passage for every query. `relevant` holds the rows of each query's relevant passages, at least one. Ties are
    broken by row."""
    ranks_QG = np.full((len(relevant), max(map(len, relevant), default=0)), np.inf)
    rows_P = torch.arange(len(passages_PD))
    for start in range(0, len(queries_QD), block):
        scores_QP = similarity(queries_QD[start : start + block], passages_PD)
        for q, scores_P in enumerate(scores_QP, start):
            ranks = [
                1 + int(((scores_P > scores_P[row]) | ((scores_P == scores_P[row]) & (rows_P < row))).sum())
                for row in relevant[q]
            ]
            ranks_QG[q, : len(ranks)] = sorted(ranks)
    return RelevantRanks(ranks_QG, np.isfinite(ranks_QG).astype(np.float64))


def pool_metrics(ranked: RelevantRanks, languages: Sequence[str], cutoffs: Sequence[int]) -> dict[str, float]:
    """Returns `recall@k` and `MRR`, means over languages, and `recall@k/ar`, `MRR/ar` ... of each language. The definitions are
    those of an evaluation; MRR has no cutoff."""
    values = {f"recall@{k}": recall(ranked, k) for k in cutoffs} | {"MRR": reciprocal_rank(ranked, sys.maxsize)}
    system = PerQuery(tuple(map(str, range(len(languages)))), tuple(languages), values)
    metrics: dict[str, float] = {}
    for name in values:
        mean = means(system, name)
        metrics |= {name: mean.macro, **{f"{name}/{language}": value for language, value in mean.by_language.items()}}
    return metrics
