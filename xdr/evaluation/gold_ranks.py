"""Where the relevant passages of each query stand, and what follows from it."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor


def first_gold_ranks(queries_QD: Tensor, passages_PD: Tensor, gold: Sequence[Sequence[int]], block: int = 256) -> list[int]:
    """The rank, from 1, of each query's best placed relevant passage. `gold` holds its rows; ties are broken by row."""
    ranks: list[int] = []
    rows_P = torch.arange(len(passages_PD))
    for start in range(0, len(queries_QD), block):
        scores_QP = queries_QD[start : start + block].float() @ passages_PD.T.float()
        for scores_P, rows in zip(scores_QP, gold[start : start + block], strict=True):
            best = max(rows, key=lambda row: (scores_P[row].item(), -row))
            before_P = (scores_P > scores_P[best]) | ((scores_P == scores_P[best]) & (rows_P < best))
            ranks.append(int(before_P.sum()) + 1)
    return ranks


def figures(ranks: Sequence[int], languages: Sequence[str], cutoffs: Sequence[int]) -> dict[str, float]:
    """`recall@k/ar` ..., `MRR/ar` ..., and the means over languages as `recall@k`, `MRR`. Recall is that of the best placed
    passage: the share of queries with a relevant one among the first k."""
    by_language: dict[str, list[int]] = defaultdict(list)
    for rank, language in zip(ranks, languages, strict=True):
        by_language[language].append(rank)
    found: dict[str, float] = {}
    for name, value_of in (
        *((f"recall@{k}", lambda rank, k=k: float(rank <= k)) for k in cutoffs),
        ("MRR", lambda rank: 1 / rank),
    ):
        values = {code: sum(map(value_of, ranks)) / len(ranks) for code, ranks in sorted(by_language.items())}
        found[name] = sum(values.values()) / len(values)
        found.update({f"{name}/{code}": value for code, value in values.items()})
    return found
