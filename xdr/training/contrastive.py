"""InfoNCE: a query against its passage and all the others of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive_loss(
    queries_QD: Tensor, passages_PD: Tensor, targets_Q: Tensor, excluded_QP: Tensor | None = None, scale: Tensor | float = 1.0
) -> Tensor:
    """Mean over queries of `-log softmax(scale * q . P)[target]`; excluded passages stand in no denominator."""
    scores_QP = scale * (queries_QD @ passages_PD.T)
    if excluded_QP is not None:
        scores_QP = scores_QP.masked_fill(excluded_QP, -torch.inf)
    return F.cross_entropy(scores_QP.float(), targets_Q)


def excluded_passages(keys_P: Tensor, positives_QK: Tensor, targets_Q: Tensor) -> Tensor:
    """Which passages are no negatives of which query: known positives of it other than its target, and the second and
    later places of a passage that the batch holds more than once. Keys are numbers for passage ids; a row of `positives_QK`
    is filled up with -1."""
    known_QP = (positives_QK[:, :, None] == keys_P).any(1)
    again_P = _seen_before(keys_P)
    excluded_QP = known_QP | again_P
    return excluded_QP.scatter(1, targets_Q[:, None], False)


def _seen_before(keys_P: Tensor) -> Tensor:
    """True where an earlier place has the same key."""
    sorted_P, order_P = keys_P.sort(stable=True)
    again_P = torch.zeros_like(keys_P, dtype=torch.bool)
    again_P[order_P[1:]] = sorted_P[1:] == sorted_P[:-1]
    return again_P
