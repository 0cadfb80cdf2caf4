"""Search with an index: takes and returns what the exact search does, and builds one index for each system.

Candidates of an index are scored and ordered as by the exact search, so rankings of both can be compared. Of passages tied at
rank k, the index chooses which ones are found.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.errors import UserError
from xdr.retrieval.exact_scores import rank_pairs
from xdr.retrieval.indexes import Index
from xdr.retrieval.rankings import Rankings
from xdr.retrieval.search import require_searchable
from xdr.vectors.embeddings import Embeddings
from xdr.vectors.families import BlockVectors, Family, line_norms

_BLOCK_ROWS = 16384
_SPARE = 32  # candidates more than k: an index' rounding may order the last ones otherwise


def index_search(
    store: Embeddings,
    queries_QD: NDArray[np.floating],
    families: Sequence[Family],
    k: int,
    *,
    index: Index,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda num_rows: None,
) -> dict[str, Rankings]:
    """The k best passages of each query for every system. `progress` is called with the number of rows that were put into
    indexes so far."""
    require_searchable(store, queries_QD, families, k)
    index.require_buildable(len(store))
    rankings: dict[str, Rankings] = {}
    for family in families:
        for place, name in enumerate(family.systems):
            system = SystemVectors(store, family.alone(place), progress, len(rankings) * len(store))
            rankings[name] = _ranked(system, queries_QD, k, index, device)
    return rankings


@dataclass(frozen=True)
class SystemVectors:
    """The vectors of a family of one system, as an index reads them. An offset is one more dimension, with a 1 in queries."""

    store: Embeddings
    family: Family
    progress: Callable[[int], None]
    rows_before: int

    @property
    def dimension(self) -> int:
        return self.store.dimension + len(self.family.offsets)

    def __len__(self) -> int:
        return len(self.store)

    def blocks(self, step: int = 1) -> Iterator[NDArray[np.float32]]:
        for block in self.store.blocks(_BLOCK_ROWS):
            rows = None if step == 1 else slice(0, None, step)
            yield self._vectors(BlockVectors(block, torch.device("cpu"), torch.float32, rows)).numpy()
            if step == 1:
                self.progress(self.rows_before + block.first_row + block.num_rows)

    def _vectors(self, of_block: BlockVectors) -> Tensor:
        u_ND, v_ND = self.family.ends(of_block)
        vectors_ND = u_ND if u_ND is v_ND else torch.lerp(u_ND, v_ND, self.family.weights[0])
        if self.family.normalized:
            vectors_ND = vectors_ND / line_norms(u_ND, v_ND, self.family.weights).float().T
        columns = [of_block.offsets(offset).float()[:, None] for offset in self.family.offsets]
        return torch.cat([vectors_ND, *columns], dim=1) if columns else vectors_ND

    def queries(self, queries_QD: NDArray[np.floating]) -> NDArray[np.float32]:
        ones_Qx = np.ones((len(queries_QD), len(self.family.offsets)))
        return np.ascontiguousarray(np.concatenate([queries_QD, ones_Qx], axis=1), np.float32)


def _ranked(system: SystemVectors, queries_QD: NDArray[np.floating], k: int, index: Index, device: str) -> Rankings:
    built = index.build(system, device)
    rows_QC = built.search(system.queries(queries_QD), min(k + _SPARE, len(system)))
    queries_P, places_P = np.nonzero(rows_QC >= 0)
    fewest = int((rows_QC >= 0).sum(axis=1).min())
    if fewest < k:
        raise UserError(f"the index found {fewest} passages for a query, and k is {k}. Widen the search of {index}, or lower k")
    exact_QD = queries_QD.astype(np.float64)
    return rank_pairs(system.store, exact_QD, system.family, queries_P, rows_QC[queries_P, places_P], k)[0]
