"""Systems to search, as lines in the space of passage vectors, and what is added to the scores of their rows.

N rows of a block, D dimensions, W weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.vectors.embeddings import Block, Rows
from xdr.vectors.fusion import Alpha, Fusion, system_name


@dataclass(frozen=True, slots=True)
class Offset:
    """`factor * by_row[row]` is added to the score of a row. `by_row` covers the whole collection; it may be memory-mapped."""

    by_row: NDArray[np.floating]
    factor: float

    def at(self, rows: Rows) -> NDArray[np.float64]:
        return self.factor * self.by_row[rows].astype(np.float64)


class TextSums(Protocol):
    """What is fused: the stored sums that a `Selection` names, or a control in their place."""

    def read(self, block: Block, rows: Rows | None = None) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """For each row of the block, or each of `rows`, a sum of vectors and their number."""
        ...


class BlockVectors:
    """The vectors of a block, or of some of its rows, as tensors. Sums are read once."""

    def __init__(self, block: Block, device: torch.device, dtype: torch.dtype, rows: Rows | None = None) -> None:
        self._block, self._rows, self._device, self._dtype = block, rows, device, dtype
        self._generated: dict[TextSums, tuple[Tensor, Tensor]] = {}

    @cached_property
    def passages(self) -> Tensor:
        halves_ND = torch.from_numpy(self._block.passages(self._rows)).to(self._device)
        return halves_ND.float().to(self._dtype)  # from 16 to 64 bits at once takes torch four times as long

    def generated(self, texts: TextSums) -> tuple[Tensor, Tensor]:
        """The sum of the vectors of each row's texts, and their number."""
        if texts not in self._generated:
            sums_ND, counts_N = texts.read(self._block, self._rows)
            on_device = torch.from_numpy(sums_ND).to(self._device).to(self._dtype), torch.from_numpy(counts_N).to(self._device)
            self._generated[texts] = on_device
        return self._generated[texts]

    def offsets(self, offset: Offset | None) -> Tensor:
        """What is added to the score of each row."""
        if offset is None:
            return torch.zeros(len(self.passages), device=self._device)
        first, rows = self._block.first_row, slice(None) if self._rows is None else self._rows
        return torch.from_numpy(offset.at(slice(first, first + self._block.num_rows))[rows]).to(self._device)


@dataclass(frozen=True, slots=True)
class Family:
    """Systems whose passage vectors lie on one line: (1 - w) u + w v at the weight w of a system.

    With `normalized`, they are scaled to norm 1; a zero vector stays zero. A system can have an offset, which is added to the
    scores of its rows. A family costs two products, however many systems it has, and one product if all have one weight. `ends`
    returns u and v, row by row: the vectors of a row do not depend on its neighbours.
    """

    systems: tuple[str, ...]
    weights: tuple[float, ...]
    ends: Callable[[BlockVectors], tuple[Tensor, Tensor]]
    normalized: bool = False
    offsets: tuple[Offset | None, ...] = ()
    """One a system; empty if no system has one."""

    @property
    def extremes(self) -> tuple[float, ...]:
        """The least and the greatest weight, or the only one."""
        return tuple(sorted({min(self.weights), max(self.weights)}))

    @property
    def is_linear(self) -> bool:
        """Whether scores are linear in the weight, with nothing to multiply or add row by row."""
        return not self.normalized and not self.offsets

    def alone(self, system: int) -> "Family":
        """The family of this system."""
        return replace(
            self,
            systems=self.systems[system : system + 1],
            weights=self.weights[system : system + 1],
            offsets=self.offsets[system : system + 1],
        )


def baseline_family(name: str = "baseline") -> Family:
    """The passages alone."""
    return Family((name,), (0.0,), lambda vectors: (vectors.passages, vectors.passages))


def fused_family(fusion: Fusion, alphas: Sequence[Alpha], texts: TextSums, label: str = "") -> Family:
    """One system for each alpha. `label` ends the systems' names, for several kinds of texts in one search."""
    names = tuple(system_name(fusion.name, alpha, label) for alpha in alphas)
    weights = tuple(alpha or 0.0 for alpha in alphas)

    def ends(vectors: BlockVectors) -> tuple[Tensor, Tensor]:
        return fusion.ends(vectors.passages, *vectors.generated(texts))

    return Family(names, weights, ends, fusion.normalized)


def line_norms(u_ND: Tensor, v_ND: Tensor, weights: Sequence[float]) -> Tensor:
    """The norms of (1 - w) u + w v in float64, (W, N), with 1 for zero vectors. They follow from u.u, u.v and v.v, except where
    these cancel."""
    u_ND, v_ND = u_ND.double(), u_ND.double() if v_ND is u_ND else v_ND.double()
    weights_W1 = torch.tensor(weights, dtype=torch.float64, device=u_ND.device)[:, None]
    uu_N = (u_ND * u_ND).sum(dim=1)
    if v_ND is u_ND:
        squares_WN = uu_N.expand(len(weights), -1)
    else:
        u_WN, v_WN = (1 - weights_W1) ** 2 * uu_N, weights_W1**2 * (v_ND * v_ND).sum(dim=1)
        squares_WN = u_WN + v_WN + 2 * weights_W1 * (1 - weights_W1) * (u_ND * v_ND).sum(dim=1)
        at_W, rows = (squares_WN < 1e-6 * (u_WN + v_WN)).nonzero(as_tuple=True)
        if len(rows):
            fused_ND = (1 - weights_W1[at_W]) * u_ND[rows] + weights_W1[at_W] * v_ND[rows]
            squares_WN[at_W, rows] = (fused_ND * fused_ND).sum(dim=1)
    norms_WN = squares_WN.sqrt()
    return norms_WN.where(norms_WN > 0, 1)
