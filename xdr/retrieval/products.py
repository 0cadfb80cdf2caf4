"""Products of passages and queries: the fastest that is right, and how far they can be from the true ones."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def multiplication(units_TD: Tensor) -> Callable[[Tensor], Tensor]:
    """From vectors to their products with the queries, (N, T). On a CPU, oneDNN with weights packed once can take half the time
    of torch's own product. Its operators are private to torch: they are used where they are found, and right."""

    def plain(vectors_ND: Tensor) -> Tensor:
        return vectors_ND @ units_TD.T

    if units_TD.device.type != "cpu":
        return plain
    operators = torch.ops.mkldnn
    try:
        packed = operators._reorder_linear_weight(units_TD, 4096)

        def prepacked(vectors_ND: Tensor) -> Tensor:
            products_NT: Tensor = operators._linear_pointwise(vectors_ND, packed, None, "none", [], "")
            return products_NT

        apart = float((prepacked(units_TD) - plain(units_TD)).abs().max())
        right = apart <= 2 * error_bound(torch.float32, units_TD.shape[1], 1.0, 1.0)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return plain
    return prepacked if right else plain


@contextmanager
def full_precision() -> Iterator[None]:
    """The margin is that of float32; a looser setting, made for training, rests meanwhile."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def error_bound(precision: torch.dtype, dimension: int, longest: float, whole: float) -> float:
    """A bound on how far a product with a query of length 1 is from the true one: of each factor's rounding, of a sum of
    `dimension` float32 terms in any order, truncated, and of the steps that made the vectors from parts as long as `whole`."""
    summing = 2.0**-23 * ((dimension + 16) * longest + 16 * whole)
    if precision == torch.float32:
        return summing
    return summing + 2.0**-10 * longest + math.sqrt(dimension) * 2.0**-24 * (1 + longest)
