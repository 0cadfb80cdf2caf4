"""Inner products of passages and queries: the fastest correct way, and a bound on their error.

T queries of a tile, N rows, D dimensions.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def multiplication(units_TD: Tensor) -> Callable[[Tensor], Tensor]:
    """A function from vectors to their products with the queries, (N, T).

    On a CPU, oneDNN with weights packed once can take half the time of torch's own product. The operators are private to torch:
    they are used if they exist and their products are correct.
    """

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

        error = float((prepacked(units_TD) - plain(units_TD)).abs().max())
        correct = error <= 2 * error_bound(torch.float32, units_TD.shape[1], 1.0, 1.0)
    except (AttributeError, RuntimeError, TypeError):  # this torch lacks the private operators
        return plain
    return prepacked if correct else plain


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiplies in full float32, for which error bounds are valid, whatever torch's setting."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def error_bound(precision: torch.dtype, dimension: int, longest: float, longest_uncentred: float, scale: float = 1.0) -> float:
    """A bound on the error of a product with a query of norm 1.

    It covers the rounding of both factors, a truncated sum of `dimension` float32 terms in any order, and the steps that made
    the vectors from parts of norm `longest_uncentred`. Both norms include a `scale` by which products are multiplied later.
    """
    summing = 2.0**-23 * ((dimension + 16) * longest + 16 * longest_uncentred)
    if precision == torch.float32:
        return summing
    return summing + 2.0**-10 * longest + math.sqrt(dimension) * 2.0**-24 * (scale + longest)
