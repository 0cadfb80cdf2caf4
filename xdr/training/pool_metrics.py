"""Metrics of dev queries against a pool of passages.

Q: queries of the pool. P: its passages. B: texts of a batch. D: dimension. G: the most relevant passages that a query has.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from xdr.evaluation.pool_ranks import pool_metrics, relevant_ranks_in_pool
from xdr.late_interaction.max_similarity import joined
from xdr.training.validation_pool import ValidationPool

CUTOFFS = (1, 5, 10, 100)


class PoolMetrics(Metric):
    """`dev/recall@10`, `dev/MRR/fi` and so on, by the scores of `similarity`. The state is the vectors; torchmetrics joins
    those of all processes."""

    full_state_update = False
    queries_BD: list[Tensor]
    query_rows_B: list[Tensor]
    passages_BD: list[Tensor]
    passage_rows_B: list[Tensor]

    def __init__(self, pool: ValidationPool, similarity: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._pool, self._similarity = pool, similarity
        for name in ("queries_BD", "query_rows_B", "passages_BD", "passage_rows_B"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, texts: Literal["queries", "passages"], rows_B: Tensor, vectors_BD: Tensor) -> None:
        if texts == "queries":
            self.query_rows_B.append(rows_B)
            self.queries_BD.append(vectors_BD)
        else:
            self.passage_rows_B.append(rows_B)
            self.passages_BD.append(vectors_BD)

    def compute(self) -> dict[str, float]:
        pool = self._pool
        queries_QD = _ordered(self.query_rows_B, self.queries_BD, len(pool.queries))
        passages_PD = _ordered(self.passage_rows_B, self.passages_BD, len(pool.passages))
        ranked = relevant_ranks_in_pool(queries_QD, passages_PD, pool.relevant, similarity=self._similarity)
        metrics = pool_metrics(ranked, [query.language for query in pool.queries], CUTOFFS)
        return {f"dev/{name}": value for name, value in metrics.items()}


def _ordered(rows: list[Tensor], vectors: list[Tensor], number: int) -> Tensor:
    """Vectors by row, on the CPU. A row may come twice, with the same vector."""
    rows_B, vectors_BD = dim_zero_cat(rows), joined([vectors] if isinstance(vectors, Tensor) else vectors)
    assert len(set(rows_B.tolist())) == number, "every row has a vector"
    ordered_ND = torch.empty(number, *vectors_BD.shape[1:])
    ordered_ND[rows_B.cpu()] = vectors_BD.cpu().float()
    return ordered_ND
