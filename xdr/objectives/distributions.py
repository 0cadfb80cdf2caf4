"""Losses of rows of scores: what objectives are made of.

R: rows, in any number of dimensions. X: what the scores of a row are for.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def divergence(teacher_RX: Tensor, student_RX: Tensor, known_RX: Tensor | None = None, also_RX: Tensor | None = None) -> Tensor:
    """Returns `KL(softmax(teacher) || softmax(student))` of each row, over what is known, or else over all. The student's
    softmax includes what `also_RX` marks. A row in which nothing is known has the divergence 0."""
    known_RX = torch.ones_like(student_RX, dtype=torch.bool) if known_RX is None else known_RX
    teacher_RX = _without(teacher_RX, ~known_RX).log_softmax(-1)
    student_RX = _without(student_RX, ~known_RX if also_RX is None else ~(known_RX | also_RX)).log_softmax(-1)
    return (teacher_RX.exp() * (teacher_RX - student_RX).masked_fill(~known_RX, 0.0)).sum(-1)


def multi_positive_nce(scores_RX: Tensor, positives_RX: Tensor, negatives_RX: Tensor) -> Tensor:
    """Returns the mean over the positives of each row of `-log(e^s / (e^s + sum of e^n over its negatives))`; 0 for a row
    without positives."""
    against_R1 = _without(scores_RX, ~negatives_RX).logsumexp(-1, keepdim=True)
    losses_RX = F.softplus(against_R1 - scores_RX.float()) * positives_RX
    return losses_RX.sum(-1) / positives_RX.sum(-1).clamp(min=1)


def mean_of_present(values: Tensor, present: Tensor, present_everywhere: Tensor) -> Tensor:
    """The sum of this process's present values, such that its mean over processes is the mean of those of all processes.
    `present_everywhere` joins `present` of all processes."""
    num_processes = len(present_everywhere) / len(present)
    return (values * present).sum() * num_processes / present_everywhere.sum().clamp(min=1)


def _without(scores_RX: Tensor, hidden_RX: Tensor) -> Tensor:
    """A finite number hides scores: where all of a row are hidden, gradients are 0 and not nan."""
    return scores_RX.float().masked_fill(hidden_RX, torch.finfo(torch.float32).min)
