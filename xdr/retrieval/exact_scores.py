"""Scores of pairs in float64, each summed in one order: a function of query, passage and system alone.

Q queries, P pairs of query and row, C candidates, D dimensions.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.retrieval.embeddings import Embeddings
from xdr.retrieval.families import BlockVectors, Family
from xdr.retrieval.rankings import Rankings, best

_TOGETHER = 256  # pairs whose vectors are in memory at once


def exact_products(
    store: Embeddings,
    queries_QD: NDArray[np.float64],
    family: Family,
    queries_P: NDArray[np.int64],
    rows_P: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(2, P): q.u and q.v of each pair. `einsum` over contiguous rows sums each pair in the same order, wherever it stands."""
    products_2P = np.empty((2, len(rows_P)))
    order_P = np.argsort(rows_P, kind="stable")
    sorted_P = rows_P[order_P]
    rows_of_block = _TOGETHER * len(store) // max(1, len(rows_P))
    for block in store.blocks(max(rows_of_block, _TOGETHER)):
        first, last = np.searchsorted(sorted_P, (block.first_row, block.first_row + block.num_rows))
        for start in range(first, last, _TOGETHER):
            pairs = order_P[start : min(start + _TOGETHER, last)]
            asked_PD = queries_QD[queries_P[pairs]]
            rows_N, places_P = np.unique(rows_P[pairs] - block.first_row, return_inverse=True)  # made once for all its queries
            ends = family.ends(BlockVectors(block, torch.device("cpu"), torch.float64, rows_N))
            for i, end_ND in enumerate(ends):
                same = i > 0 and end_ND is ends[0]
                products_2P[i, pairs] = (
                    products_2P[0, pairs] if same else np.einsum("pd,pd->p", asked_PD, end_ND.numpy()[places_P])
                )
    return products_2P


def score(products_2P: NDArray[np.float64], weight: float) -> NDArray[np.float32]:
    """The score of a system, from its family's products."""
    scores_P: NDArray[np.float32] = ((1 - weight) * products_2P[0] + weight * products_2P[1]).astype(np.float32)
    return scores_P


def rank_pairs(
    store: Embeddings,
    queries_QD: NDArray[np.float64],
    family: Family,
    queries_P: NDArray[np.int64],
    rows_P: NDArray[np.int64],
    k: int,
) -> list[Rankings]:
    """The k best of the given pairs, for each system. Pairs come in the order of their queries, at least k for each."""
    products_2P = exact_products(store, queries_QD, family, queries_P, rows_P)
    places_P, width = places_of(torch.from_numpy(queries_P), len(queries_QD))
    rows_QC = np.zeros((len(queries_QD), width), np.int64)
    rows_QC[queries_P, places_P.numpy()] = rows_P
    found = []
    for weight in family.weights:
        scores_QC = np.full(rows_QC.shape, -np.inf, np.float32)
        scores_QC[queries_P, places_P.numpy()] = score(products_2P, weight)
        found.append(best(scores_QC, rows_QC, k, store.ids))
    return found


def places_of(queries_P: Tensor, num_queries: int) -> tuple[Tensor, int]:
    """The place of each pair among those of its query, which stand together; and the greatest number of them."""
    sizes_T = torch.bincount(queries_P, minlength=num_queries)
    firsts_T = sizes_T.cumsum(0) - sizes_T
    return torch.arange(len(queries_P), device=queries_P.device) - firsts_T[queries_P], int(sizes_T.max())
