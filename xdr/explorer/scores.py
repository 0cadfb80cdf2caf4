"""Scores of one question for all passages, at any alpha, from the stored vectors.

They equal those of the evaluation's search: the same float64 products, rounded to float32 at the end. N rows, D dimensions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.retrieval.rankings import top_k
from xdr.vectors.embeddings import EmbeddingStore, ShardBlock
from xdr.vectors.families import BlockVectors
from xdr.vectors.fusion import Alpha, Fusion
from xdr.vectors.layout import Selection

_BLOCK_ROWS = 4096
_MOST_HELD_BYTES = 1 << 29
"""Vectors of larger collections are read again for each new question."""
_CANCELS = 1e-6
"""Below this share of their parts, squared norms have lost digits and are computed from the vectors."""


class Products(NamedTuple):
    """q.p of each passage, and q.u and q.v of the ends of its line. Alphas need no more of the vectors."""

    baseline_N: NDArray[np.float64]
    ends_2N: NDArray[np.float64] | None


class _Block(NamedTuple):
    """`ends` are u and v, or nothing where nothing is fused."""

    rows: slice
    passages_ND: NDArray[np.float64]
    ends: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Scores:
    """`fusion` and `texts` are None where nothing is fused into the passages."""

    embeddings: EmbeddingStore
    fusion: Fusion | None
    texts: Selection | None

    def products(self, query_D: NDArray[np.float32]) -> Products:
        """One pass over the vectors."""
        products_3N = np.empty((3, len(self.embeddings)))
        for block in self._blocks():
            query_ND = np.tile(query_D.astype(np.float64), (len(block.passages_ND), 1))
            for place, vectors_ND in enumerate((block.passages_ND, *block.ends)):  # summed as in xdr.retrieval.exact_scores
                products_3N[place, block.rows] = np.einsum("pd,pd->p", query_ND, vectors_ND)
        return Products(products_3N[0], products_3N[1:] if self.fusion is not None else None)

    def baseline(self, products: Products) -> NDArray[np.float32]:
        return products.baseline_N.astype(np.float32)

    def fused(self, products: Products, alpha: Alpha) -> NDArray[np.float32]:
        assert self.fusion is not None and products.ends_2N is not None
        weight = alpha or 0.0
        scores_N: NDArray[np.float64] = (1 - weight) * products.ends_2N[0] + weight * products.ends_2N[1]
        if self.fusion.normalized:
            scores_N = scores_N / self.norms(weight)
        return scores_N.astype(np.float32)

    def norms(self, weight: float) -> NDArray[np.float64]:
        """Of the fused vectors; 1 for zero vectors. They follow from the products of the ends, except where these cancel."""
        uu_N, vv_N, uv_N = self._squares
        u_N, v_N = (1 - weight) ** 2 * uu_N, weight**2 * vv_N
        squares_N = u_N + v_N + 2 * weight * (1 - weight) * uv_N
        for row in np.flatnonzero(squares_N < _CANCELS * (u_N + v_N)).tolist():
            u_1D, v_1D = self._read(self.embeddings.block(row, 1)).ends
            squares_N[row] = (((1 - weight) * u_1D + weight * v_1D) ** 2).sum()
        norms_N = np.sqrt(squares_N)
        return np.where(norms_N > 0, norms_N, 1)

    def _blocks(self) -> Iterable["_Block"]:
        fits = 3 * 8 * len(self.embeddings) * self.embeddings.dimension <= _MOST_HELD_BYTES
        return self._held if fits else self._read_all()

    @cached_property
    def _held(self) -> list["_Block"]:
        return list(self._read_all())

    def _read_all(self) -> Iterator["_Block"]:
        return map(self._read, self.embeddings.blocks(_BLOCK_ROWS))

    def _read(self, block: ShardBlock) -> "_Block":
        vectors, rows = (
            BlockVectors(block, torch.device("cpu"), torch.float64),
            slice(block.first_row, block.first_row + block.num_rows),
        )
        if self.fusion is None or self.texts is None:
            return _Block(rows, vectors.passages.numpy(), ())
        u_ND, v_ND = self.fusion.ends(vectors.passages, *vectors.generated(self.texts))
        return _Block(rows, vectors.passages.numpy(), (u_ND.numpy(), v_ND.numpy()))

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        """u.u, v.v and u.v. They do not depend on the question."""
        squares_3N = np.empty((3, len(self.embeddings)))
        for block in self._blocks():
            u_ND, v_ND = block.ends
            for place, (left_ND, right_ND) in enumerate(((u_ND, u_ND), (v_ND, v_ND), (u_ND, v_ND))):
                squares_3N[place, block.rows] = np.einsum("nd,nd->n", left_ND, right_ND)
        return squares_3N


def best_rows(embeddings: EmbeddingStore, scores_N: NDArray[np.float32], k: int) -> list[int]:
    """The rows of the k best passages, ties by passage id."""
    ranked = top_k(scores_N[None], np.arange(len(scores_N))[None], min(k, len(scores_N)), embeddings.ids)
    return [int(row) for row in ranked.rows_QK[0]]


def ranks(embeddings: EmbeddingStore, scores_N: NDArray[np.float32], rows: Sequence[int]) -> list[int]:
    """The rank of each of `rows` among all passages, from 1, ties by passage id."""
    return [_rank(embeddings, scores_N, row) for row in rows]


def _rank(embeddings: EmbeddingStore, scores_N: NDArray[np.float32], row: int) -> int:
    better = int((scores_N > scores_N[row]).sum())
    tied = np.flatnonzero(scores_N == scores_N[row])
    if len(tied) == 1:
        return better + 1
    ids = embeddings.ids(tied)
    own = ids[tied.tolist().index(row)]
    return better + 1 + sum(other < own for other in ids)
