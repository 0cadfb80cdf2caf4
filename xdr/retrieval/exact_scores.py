"""Scores of pairs in float64, each summed in the same order: a score depends on its query, passage and system only.

Q queries, P pairs of a query and a row, C candidates of a query, N rows, D dimensions, W weights.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.retrieval.rankings import Rankings, top_k
from xdr.vectors.embeddings import Embeddings
from xdr.vectors.families import BlockVectors, Family, Offset, line_norms

_PAIRS_AT_ONCE = 256


class ExactProducts(NamedTuple):
    """q.u and q.v of each pair, and of a normalized family the norm of the pair's row at each of its `weights`."""

    products_2P: NDArray[np.float64]
    weights: list[float]
    norms_WP: NDArray[np.float64] | None

    def scores(self, weight: float, offset: Offset | None, rows_P: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of the system with this weight and offset."""
        scores_P: NDArray[np.float64] = (1 - weight) * self.products_2P[0] + weight * self.products_2P[1]
        if self.norms_WP is not None:
            scores_P /= self.norms_WP[self.weights.index(weight)]
        if offset is not None:
            scores_P += offset.at(rows_P)
        return scores_P.astype(np.float32)


def exact_products(
    embeddings: Embeddings,
    queries_QD: NDArray[np.float64],
    family: Family,
    queries_P: NDArray[np.int64],
    rows_P: NDArray[np.int64],
) -> ExactProducts:
    """`einsum` over contiguous rows sums every pair in the same order."""
    weights = sorted(set(family.weights))
    products_2P = np.empty((2, len(rows_P)))
    norms_WP = np.empty((len(weights), len(rows_P))) if family.normalized else None
    order_P = np.argsort(rows_P, kind="stable")
    sorted_P = rows_P[order_P]
    rows_of_block = _PAIRS_AT_ONCE * len(embeddings) // max(1, len(rows_P))
    for block in embeddings.blocks(max(rows_of_block, _PAIRS_AT_ONCE)):
        first, last = np.searchsorted(sorted_P, (block.first_row, block.first_row + block.num_rows))
        for start in range(first, last, _PAIRS_AT_ONCE):
            pairs = order_P[start : min(start + _PAIRS_AT_ONCE, last)]
            queries_PD = queries_QD[queries_P[pairs]]
            rows_N, places_P = np.unique(rows_P[pairs] - block.first_row, return_inverse=True)
            ends = family.ends(BlockVectors(block, torch.device("cpu"), torch.float64, rows_N))
            for i, end_ND in enumerate(ends):
                same = i > 0 and end_ND is ends[0]
                products_2P[i, pairs] = (
                    products_2P[0, pairs] if same else np.einsum("pd,pd->p", queries_PD, end_ND.numpy()[places_P])
                )
            if norms_WP is not None:
                norms_WP[:, pairs] = line_norms(*ends, weights).numpy()[:, places_P]
    return ExactProducts(products_2P, weights, norms_WP)


def rank_pairs(
    embeddings: Embeddings,
    queries_QD: NDArray[np.float64],
    family: Family,
    queries_P: NDArray[np.int64],
    rows_P: NDArray[np.int64],
    k: int,
) -> list[Rankings]:
    """The top k of the given pairs, for each system. Pairs must be sorted by query, with at least k for each."""
    products = exact_products(embeddings, queries_QD, family, queries_P, rows_P)
    places_P, width = places_of(torch.from_numpy(queries_P), len(queries_QD))
    rows_QC = np.zeros((len(queries_QD), width), np.int64)
    rows_QC[queries_P, places_P.numpy()] = rows_P
    ranked = []
    for weight, offset in zip(family.weights, family.offsets or [None] * len(family.weights), strict=True):
        scores_QC = np.full(rows_QC.shape, -np.inf, np.float32)
        scores_QC[queries_P, places_P.numpy()] = products.scores(weight, offset, rows_P)
        ranked.append(top_k(scores_QC, rows_QC, k, embeddings.ids))
    return ranked


def places_of(queries_P: Tensor, num_queries: int) -> tuple[Tensor, int]:
    """The place of each pair among the pairs of its query, and the greatest number of pairs of a query. Pairs must be sorted by
    query."""
    sizes_T = torch.bincount(queries_P, minlength=num_queries)
    firsts_T = sizes_T.cumsum(0) - sizes_T
    return torch.arange(len(queries_P), device=queries_P.device) - firsts_T[queries_P], int(sizes_T.max())
