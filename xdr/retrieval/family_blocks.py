"""The vectors of a family in a block, as screening multiplies them, and what bounds the error of their products.

N rows of a block, D dimensions, A systems of a family, W weights.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from xdr.vectors.families import BlockVectors, Family, line_norms

_MOST_CANCELLED = 4  # the norms of a row's two parts, as a multiple of the norm of their sum


class RowTerms(NamedTuple):
    """What the products of each row are multiplied by, and what is then added, for each system."""

    scales_AN: Tensor | None
    offsets_AN: Tensor | None
    unknown: Tensor
    """Rows whose two parts cancel: a scale would make the error of their products large, so only exact scores know them."""


class FamilyBlock(NamedTuple):
    """The vectors of a block at the least and at the greatest weight of a family, minus the centres there; for a family that is
    not linear, the two ends instead."""

    first_row: int
    vectors: list[Tensor]
    longest: float
    """A bound on the sum of the norms of a row's two weighted parts, times its scale."""
    longest_uncentred: float
    """The same before the centres were subtracted."""
    terms: RowTerms | None = None
    largest_scale: float = 1.0
    largest_offset: float = 0.0
    largest_norm: float = 0.0
    """Of the vectors as they are multiplied."""


def centres_of(family: Family, vectors: BlockVectors) -> list[Tensor]:
    """The mean of each end of a family over some rows, or zeros where subtracting it would not halve the longest row.

    A vector that all passages share does not change their order. Some encoders' vectors are a hundred times shorter without it,
    and so is the error of their products.
    """
    centres = []
    for end_ND in family.ends(vectors):
        centre_D = end_ND.mean(dim=0)
        shorter = _longest(end_ND - centre_D) < _longest(end_ND) / 2
        centres.append(centre_D if shorter else torch.zeros_like(centre_D))
    return centres


def family_block(family: Family, vectors: BlockVectors, first_row: int, centres: Sequence[Tensor]) -> FamilyBlock:
    u_ND, v_ND = family.ends(vectors)
    norm_u, norm_v = (float(centre_D.norm()) for centre_D in centres)
    centred_u_ND = u_ND - centres[0] if norm_u else u_ND
    if not family.is_linear:
        centred_v_ND = centred_u_ND if v_ND is u_ND else v_ND - centres[1] if norm_v else v_ND
        return _with_terms(family, vectors, first_row, (u_ND, v_ND), (centred_u_ND, centred_v_ND))
    if u_ND is v_ND:
        longest = _longest(centred_u_ND)
        return FamilyBlock(first_row, [centred_u_ND], longest, longest + norm_u, largest_norm=longest)
    centred_v_ND = v_ND - centres[1] if norm_v else v_ND
    u_N, v_N = centred_u_ND.norm(dim=1), centred_v_ND.norm(dim=1)
    extremes = [torch.lerp(centred_u_ND, centred_v_ND, weight) for weight in family.extremes]
    norms = [float(((1 - w) * u_N + w * v_N).max()) for w in family.extremes]
    uncentred = [norm + (1 - w) * norm_u + w * norm_v for norm, w in zip(norms, family.extremes, strict=True)]
    return FamilyBlock(first_row, extremes, max(norms), max(uncentred), largest_norm=max(norms))


def _with_terms(
    family: Family,
    vectors: BlockVectors,
    first_row: int,
    ends: tuple[Tensor, Tensor],
    centred: tuple[Tensor, Tensor],
) -> FamilyBlock:
    """Of a family that is not linear."""
    weights = sorted(set(family.weights))
    of_system = [weights.index(weight) for weight in family.weights]
    weights_W1 = ends[0].new_tensor(weights)[:, None]
    whole_WN, short_WN = ((1 - weights_W1) * u_ND.norm(dim=1) + weights_W1 * v_ND.norm(dim=1) for u_ND, v_ND in (ends, centred))
    norms_WN = line_norms(*ends, weights).float() if family.normalized else torch.ones_like(whole_WN)
    cancels_WN = whole_WN > _MOST_CANCELLED * norms_WN if family.normalized else torch.zeros_like(whole_WN, dtype=torch.bool)
    scales_WN = (1 / norms_WN).masked_fill(cancels_WN, 0)
    offsets_AN = None
    if family.offsets:
        offsets_AN = torch.stack([vectors.offsets(offset).float() for offset in family.offsets])
        assert offsets_AN.isfinite().all(), "offsets are finite"
    terms = RowTerms(scales_WN[of_system] if family.normalized else None, offsets_AN, cancels_WN.any(dim=0).nonzero().view(-1))
    kept = [centred[0]] if centred[0] is centred[1] else list(centred)
    if len(kept) == 2 and len(weights) == 1:
        kept = [torch.lerp(centred[0], centred[1], weights[0])]
    return FamilyBlock(
        first_row,
        kept,
        float((scales_WN * short_WN).max()),
        float((scales_WN * whole_WN).max() + (scales_WN * short_WN).max()),
        terms,
        float(scales_WN.max()),
        float(offsets_AN.abs().max()) if offsets_AN is not None else 0.0,
        max(map(_longest, kept)),
    )


def _longest(vectors_ND: Tensor) -> float:
    return float(vectors_ND.norm(dim=1).max())
