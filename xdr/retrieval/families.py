"""Systems to search, as lines in the space of passage vectors.

N rows of a block, D dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from xdr.retrieval.embeddings import Block, Rows
from xdr.retrieval.layout import Selection


class BlockVectors:
    """A block's vectors as tensors, or those of some of its rows; companions are read and summed once a selection."""

    def __init__(self, block: Block, device: torch.device, dtype: torch.dtype, rows: Rows | None = None) -> None:
        self._block, self._rows, self._device, self._dtype = block, rows, device, dtype
        self._companions: dict[Selection, tuple[Tensor, Tensor]] = {}

    @cached_property
    def passages(self) -> Tensor:
        halves_ND = torch.from_numpy(self._block.passages(self._rows)).to(self._device)
        return halves_ND.float().to(self._dtype)  # from 16 to 64 bits at once takes torch four times as long

    def companions(self, selection: Selection) -> tuple[Tensor, Tensor]:
        """Their sum and their number, of each row."""
        if selection not in self._companions:
            sums_ND, counts_N = self._block.companions(selection, self._rows)
            on_device = torch.from_numpy(sums_ND).to(self._device).to(self._dtype), torch.from_numpy(counts_N).to(self._device)
            self._companions[selection] = on_device
        return self._companions[selection]


@dataclass(frozen=True, slots=True)
class Family:
    """Systems whose passage vectors lie on one line: u at weight 0, v at weight 1, (1 - w) u + w v at a system's weight. Their
    scores are linear in the weight, so that a family costs two products, however many its systems; one, if it has one system.
    `ends` gives u and v, row by row: the vectors of a row do not depend on its neighbours."""

    systems: tuple[str, ...]
    weights: tuple[float, ...]
    ends: Callable[[BlockVectors], tuple[Tensor, Tensor]]

    @property
    def extremes(self) -> tuple[float, ...]:
        """The least and the greatest weight, or the only one."""
        return tuple(sorted({min(self.weights), max(self.weights)}))
