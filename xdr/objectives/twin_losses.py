"""Objectives that compare a query with other wordings of it, its twins. They leave out queries without a twin.

Q: queries of this process. P: passages of all processes, in order of rank. N: passages of this process. K: twins of a query.
V: a query and its twins. A: queries of all processes.
"""

from typing import Literal

import torch
from torch import Tensor

from xdr.errors import UserError
from xdr.objectives.batch_labels import BatchLabels, Twins
from xdr.objectives.distributions import divergence, mean_of_present, multi_positive_nce


def consistency(
    scores_QP: Tensor,
    labels: BatchLabels,
    *,
    teacher: Literal["query", "twin"],
    stop_gradient: bool,
    teacher_temperature: float,
) -> Tensor:
    """KL divergence from the distribution over all passages of the batch that the teacher of the two gives, a query or its
    twin, to that of the other: self-teaching, and QuiCK's alignment. `stop_gradient` trains the other alone. The teacher's
    scores are divided by `teacher_temperature`."""
    twins = _require_twins(labels)
    pair = scores_QP[:, None].expand_as(twins.scores_QKP), twins.scores_QKP
    teacher_QKP, student_QKP = pair if teacher == "query" else pair[::-1]
    teacher_QKP = (teacher_QKP.detach() if stop_gradient else teacher_QKP) / teacher_temperature
    return mean_of_present(divergence(teacher_QKP, student_QKP), twins.present_QK, twins.present_AK)


def passage_consistency(scores_QP: Tensor, labels: BatchLabels, *, teacher_temperature: float) -> Tensor:
    """KL divergence from the distribution over the queries of the batch that each passage gives, without gradient, to that over
    the k-th twins of these queries, mean over k: the second half of dual self-teaching."""
    twins = _require_twins(labels)
    scores_NVA = twins.from_passages().transpose(1, 2)
    present_KA = twins.present_AK.T
    clean_NKA = scores_NVA[:, :1].detach().expand_as(scores_NVA[:, 1:]) / teacher_temperature
    divergences_NK = divergence(clean_NKA, scores_NVA[:, 1:], present_KA.expand_as(clean_NKA))
    return divergences_NK.mean(0).sum() / present_KA.any(1).sum().clamp(min=1)


def twin_contrastive(scores_QP: Tensor, labels: BatchLabels, *, anchor: Literal["query", "passage"]) -> Tensor:
    """Returns InfoNCE with several positives, as a mean over them. With the anchor `passage`, a query's target passage must
    score the query and its twins above other queries and theirs. With `query`, the query must score its twins above those of
    others. Queries with the same passage are not negatives."""
    twins = _require_twins(labels)
    _, own_Q, excluded_QA = labels.passages_to_queries()
    if anchor == "query":
        found_QAV, present_AV = twins.from_queries(), twins.present_AK
    else:
        scores_NAV = twins.from_passages()
        found_QAV = scores_NAV[:: len(scores_NAV) // len(own_Q)]
        present_AV = torch.cat([torch.ones_like(twins.present_AK[:, :1]), twins.present_AK], 1)
    own_QA = own_Q[:, None] == torch.arange(len(present_AV), device=own_Q.device)
    positives_QAV, negatives_QAV = (mask_QA[:, :, None] & present_AV for mask_QA in (own_QA, ~(own_QA | excluded_QA)))
    losses_Q = multi_positive_nce(found_QAV.flatten(1), positives_QAV.flatten(1), negatives_QAV.flatten(1))
    return mean_of_present(losses_Q, present_AV[own_Q].any(1), present_AV.any(1))


def _require_twins(labels: BatchLabels) -> Twins:
    if labels.twins is None:
        raise UserError(
            "data.batches.twins_per_query must be at least 1 with an objective that compares queries with other wordings of "
            "them, got 0. Set it, or choose another objective"
        )
    return labels.twins
