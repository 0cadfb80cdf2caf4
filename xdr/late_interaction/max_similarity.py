"""MaxSim: the sum over the tokens of a query of the largest inner product with a token of the passage (ColBERT, arXiv
2004.12832).

Token vectors of several texts are one tensor. Texts with fewer tokens than the longest are padded with zero vectors, which
have no part in a score; vectors of tokens have norm 1.

Q queries, P passages, N pairs, B texts, L and M tokens of the longest query and passage, T tokens of all texts, D dimensions.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_PRODUCTS = 1 << 25
"""The most inner products of tokens at a time, 128 MiB in float32. Training keeps the place of each maximum alone."""


def max_similarity(queries_QLD: Tensor, passages_PMD: Tensor) -> Tensor:
    """The scores (Q, P), in float32."""
    queries, length = queries_QLD.shape[:2]
    tokens_XD = queries_QLD.flatten(0, 1)
    at_once = max(1, MOST_PRODUCTS // max(1, queries * length * passages_PMD.shape[1]))
    parts = []
    for part_PMD in torch.split(passages_PMD, at_once):
        products_QLPM = (tokens_XD @ part_PMD.flatten(0, 1).T).view(queries, length, *part_PMD.shape[:2])
        parts.append(_largest(products_QLPM, part_PMD).sum(1))
    return torch.cat(parts, 1)


def max_similarity_of_pairs(queries_NLD: Tensor, passages_NMD: Tensor) -> Tensor:
    """The scores (N) of a query and a passage each, in float32."""
    products_NLM = queries_NLD @ passages_NMD.transpose(1, 2)
    return _largest(products_NLM, passages_NMD[:, None]).sum(1)


def _largest(products: Tensor, passages: Tensor) -> Tensor:
    """The largest product with a token, along the last dimension. `passages` are vectors, with the dimensions of `products`
    before the last where they have more than one passage."""
    return products.masked_fill_((passages == 0).all(-1), -torch.inf).max(-1).values.float()


def padded(vectors_TD: Tensor, lengths_B: Tensor) -> Tensor:
    """The vectors of texts in a row, as one tensor (B, L, D) with zeros behind each text."""
    places_L = torch.arange(int(lengths_B.max()), device=vectors_TD.device)
    inside_BL = places_L < lengths_B[:, None]
    starts_B = lengths_B.cumsum(0) - lengths_B
    vectors_BLD = vectors_TD[(starts_B[:, None] + places_L).clamp(max=len(vectors_TD) - 1)]
    return vectors_BLD * inside_BL[:, :, None]


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Vectors of several batches in one tensor, whose token vectors are padded to the longest text of all."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, 0) * (part.ndim - 2) + (0, width - part.shape[1])) for part in parts])
