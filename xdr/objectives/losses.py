"""Training objectives: functions that return a loss.

A retriever's objective takes `(scores_QP, labels)`: scores that are already multiplied by `model.score_scale`, and a
`BatchLabels`. It returns a loss, or a mapping of named parts. The loss is the sum of the parts, and each part is logged as
`loss/NAME`. A loss is a mean over this process's queries, so that the mean over processes is the loss of the whole batch.
An objective can also be an `nn.Module`; its parameters are trained and saved with the model.

A generator's objective takes `(logits_BLV, labels_BL)`. It returns the loss of each row, summed over the row's tokens, and the
number of these tokens.

`conf/objective/NAME.yaml` names an objective by `_target_`; its keyword parameters are the settings. `twin_losses.py` has
those that compare a query with other wordings of it.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xdr.errors import UserError
from xdr.generators.query_generator import token_losses
from xdr.objectives.batch_labels import BatchLabels
from xdr.objectives.distributions import divergence, multi_positive_nce

Loss = Tensor | Mapping[str, Tensor]
RetrieverObjective = Callable[[Tensor, BatchLabels], Loss]
GeneratorObjective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def contrastive(scores_QP: Tensor, labels: BatchLabels, *, both_directions: bool) -> Tensor:
    """InfoNCE over the passages of all processes. `both_directions` takes the mean of it and of the loss that finds the query
    of each passage."""
    loss = info_nce(scores_QP, labels.targets_Q, labels.excluded_QP)
    return (loss + info_nce(*labels.passages_to_queries())) / 2 if both_directions else loss


def multi_positive(scores_QP: Tensor, labels: BatchLabels) -> Tensor:
    """InfoNCE of every known positive of a query in the batch against its negatives, mean over the positives."""
    negatives_QP = ~(labels.excluded_QP | labels.positives_QP)
    return multi_positive_nce(scores_QP, labels.positives_QP, negatives_QP).mean()


def distillation(
    scores_QP: Tensor, labels: BatchLabels, *, teacher_temperature: float, student_temperature: float, in_batch: bool
) -> Tensor:
    """KL divergence from a teacher's distribution over the passages that each query brought into the batch to the student's.
    The temperatures divide the scores; the loss is multiplied by the square of the student's, which keeps the size of its
    gradients. `in_batch` lets the student's distribution range over the other passages of the batch too, to which the teacher
    gives no probability; known positives are left out."""
    listed_QP = _scored_by_teacher(labels)
    teacher_QP, student_QP = labels.teacher_QP / teacher_temperature, scores_QP / student_temperature
    also_QP = labels.other_passages() if in_batch else None
    return student_temperature**2 * divergence(teacher_QP, student_QP, listed_QP, also_QP).mean()


def margin_mse(scores_QP: Tensor, labels: BatchLabels) -> Tensor:
    """Squared difference between the student's and a teacher's margins of the target over each other passage that the query
    brought into the batch (Hofstätter et al., 2020)."""
    others_QP = _scored_by_teacher(labels).scatter(1, labels.targets_Q[:, None], False)
    if not others_QP.any():
        raise UserError("data.batches.passages_per_query must be at least 2 with margins, got 1. Add negatives")
    margins_QP, teacher_QP = (
        values_QP.gather(1, labels.targets_Q[:, None]) - values_QP for values_QP in (scores_QP.float(), labels.teacher_QP)
    )
    return F.mse_loss(margins_QP[others_QP], teacher_QP[others_QP])


class Combined(nn.Module):
    """A weighted sum of objectives. Each is logged by its name here, times its weight; its own parts, if it has any, as
    `NAME/PART`."""

    def __init__(self, parts: Mapping[str, RetrieverObjective], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not parts:
            raise UserError("objective.parts must name objectives, got none. conf/objective/alignment.yaml is an example")
        for name, weight in weights.items():
            if weight < 0:
                raise UserError(f"objective.parts.{name}.weight must be at least 0, got {weight}")
        self._parts, self._weights = dict(parts), dict(weights)
        self.trained = nn.ModuleDict({name: part for name, part in parts.items() if isinstance(part, nn.Module)})

    def forward(self, scores_QP: Tensor, labels: BatchLabels) -> Mapping[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for name, part in self._parts.items():
            loss = part(scores_QP, labels)
            named = {name: loss} if isinstance(loss, Tensor) else {f"{name}/{key}": value for key, value in loss.items()}
            losses |= {key: self._weights[name] * value for key, value in named.items()}
        return losses


def token_likelihood(logits_BLV: Tensor, labels_BL: Tensor, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross entropy of the tokens of the text to generate."""
    return token_losses(logits_BLV, labels_BL, label_smoothing)


def info_nce(scores_QP: Tensor, targets_Q: Tensor, excluded_QP: Tensor) -> Tensor:
    """Mean over queries of `-log softmax(scores)[target]`. The softmax leaves out excluded passages."""
    return F.cross_entropy(scores_QP.masked_fill(excluded_QP, -torch.inf).float(), targets_Q)


def total_loss(loss: Loss) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Returns the loss to minimize, and its parts by name; no parts where the objective returned one tensor."""
    if isinstance(loss, Tensor):
        return loss, {}
    return torch.stack(list(loss.values())).sum(), loss


def _scored_by_teacher(labels: BatchLabels) -> Tensor:
    """Which passages have a teacher's scores; a query without any is refused."""
    known_QP = ~labels.teacher_QP.isnan()
    if not known_QP.any(1).all():
        raise UserError(
            f"the objective needs a teacher's scores for every query, got none for {int((~known_QP.any(1)).sum())} of "
            f"{len(known_QP)} in a batch. Use training data with scores, or an objective without a teacher"
        )
    return known_QP
