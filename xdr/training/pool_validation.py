"""Dev questions against a small pool of passages: from the vectors of all processes to figures."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from xdr.evaluation.gold_ranks import figures, first_gold_ranks
from xdr.training.validation_pool import ValidationPool

CUTOFFS = (1, 5, 10, 100)


class Encoded(NamedTuple):
    """Vectors of some of a pool's queries or passages, and which these are."""

    rows_B: Tensor
    vectors_BD: Tensor


def pool_figures(
    pool: ValidationPool, queries: Sequence[Encoded], passages: Sequence[Encoded], gather: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """`dev/recall@10`, `dev/MRR/fi` and so on. `gather` joins equally large tensors of all processes."""
    queries_QD, passages_PD = (_in_order(parts, gather) for parts in (queries, passages))
    ranks = first_gold_ranks(queries_QD, passages_PD, pool.gold)
    values = figures(ranks, [query.language for query in pool.queries], CUTOFFS)
    return {f"dev/{name}": value for name, value in values.items()}


def _in_order(parts: Sequence[Encoded], gather: Callable[[Tensor], Tensor]) -> Tensor:
    """All rows' vectors, from every process. Processes may have fewer rows than others, or none: theirs are filled up, and
    what filled them is dropped."""
    device = parts[0].rows_B.device if parts else torch.device("cpu")
    rows_B = torch.cat([torch.empty(0, dtype=torch.long, device=device), *(part.rows_B for part in parts)])
    dimension = int(gather(torch.tensor([parts[0].vectors_BD.shape[1] if parts else 0], device=device)).max())
    vectors_BD = torch.cat([torch.empty(0, dimension, device=device), *(part.vectors_BD for part in parts)])
    missing = int(gather(torch.tensor([len(rows_B)], device=device)).max()) - len(rows_B)
    rows_B = gather(torch.cat([rows_B, rows_B.new_full((missing,), -1)]))
    vectors_BD = gather(torch.cat([vectors_BD, vectors_BD.new_zeros(missing, dimension)]))
    rows_B, vectors_BD = rows_B[rows_B >= 0], vectors_BD[rows_B >= 0]
    assert len(set(rows_B.tolist())) == len(rows_B), "no row counts twice"
    return vectors_BD[rows_B.argsort()].cpu()
