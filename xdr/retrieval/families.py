"""Systems to search, as lines in the space of passage vectors.

N rows of a block, D dimensions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from xdr.retrieval.embeddings import Block, Rows
from xdr.retrieval.fusion import Alpha, Fusion, fuse_vectors, system_name
from xdr.retrieval.layout import Selection


class BlockVectors:
    """The vectors of a block, or of some of its rows, as tensors. Sums of generated texts are read once a selection."""

    def __init__(self, block: Block, device: torch.device, dtype: torch.dtype, rows: Rows | None = None) -> None:
        self._block, self._rows, self._device, self._dtype = block, rows, device, dtype
        self._generated: dict[Selection, tuple[Tensor, Tensor]] = {}

    @cached_property
    def passages(self) -> Tensor:
        halves_ND = torch.from_numpy(self._block.passages(self._rows)).to(self._device)
        return halves_ND.float().to(self._dtype)  # from 16 to 64 bits at once takes torch four times as long

    def generated(self, selection: Selection) -> tuple[Tensor, Tensor]:
        """The sum of the vectors of each row's generated texts, and their number."""
        if selection not in self._generated:
            sums_ND, counts_N = self._block.generated(selection, self._rows)
            on_device = torch.from_numpy(sums_ND).to(self._device).to(self._dtype), torch.from_numpy(counts_N).to(self._device)
            self._generated[selection] = on_device
        return self._generated[selection]


@dataclass(frozen=True, slots=True)
class Family:
    """Systems whose passage vectors lie on one line: (1 - w) u + w v at the weight w of a system.

    Scores are linear in the weight: a family costs two products, however many systems it has, and one product if it has one
    system. `ends` returns u and v, row by row: the vectors of a row do not depend on its neighbours.
    """

    systems: tuple[str, ...]
    weights: tuple[float, ...]
    ends: Callable[[BlockVectors], tuple[Tensor, Tensor]]

    @property
    def extremes(self) -> tuple[float, ...]:
        """The least and the greatest weight, or the only one."""
        return tuple(sorted({min(self.weights), max(self.weights)}))


def baseline_family(name: str = "baseline") -> Family:
    """The passages alone."""
    return Family((name,), (0.0,), lambda vectors: (vectors.passages, vectors.passages))


def fused_families(fusion: Fusion, alphas: Sequence[Alpha], selection: Selection, label: str = "") -> list[Family]:
    """One system for each alpha. A linear formula needs one family for all alphas, the others one for each. `label` ends the
    systems' names, for several selections in one search."""
    names = tuple(system_name(fusion.name, alpha, label) for alpha in alphas)
    if fusion.is_linear:
        weights = tuple(alpha for alpha in alphas if alpha is not None)
        return [Family(names, weights, lambda vectors: fusion.ends(vectors.passages, *vectors.generated(selection)))]
    return [
        Family((name,), (0.0,), partial(_fused, fusion, alpha, selection)) for name, alpha in zip(names, alphas, strict=True)
    ]


def _fused(fusion: Fusion, alpha: Alpha, selection: Selection, vectors: BlockVectors) -> tuple[Tensor, Tensor]:
    fused_ND = fuse_vectors(fusion, vectors.passages, *vectors.generated(selection), alpha)
    return fused_ND, fused_ND
