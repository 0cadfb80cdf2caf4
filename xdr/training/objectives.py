"""Training objectives: functions that return a loss.

A retriever's objective takes `(scores_QP, labels)`: scores that are already multiplied by `model.score_scale`, and a
`BatchLabels`. It returns a loss, or a mapping of named parts. The loss is the sum of the parts, and each part is logged as
`loss/NAME`. A loss is a mean over this process's queries, so that the mean over processes is the loss of the whole batch.
An objective can also be an `nn.Module`; its parameters are trained and saved with the model.

A generator's objective takes `(logits_BLV, labels_BL)`. It returns the loss of each row, summed over the row's tokens, and the
number of these tokens.

`conf/objective/NAME.yaml` names an objective by `_target_`; its keyword parameters are the settings.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from xdr.errors import UserError
from xdr.generators.query_generator import token_losses
from xdr.training.batch_labels import BatchLabels

Loss = Tensor | Mapping[str, Tensor]
RetrieverObjective = Callable[[Tensor, BatchLabels], Loss]
GeneratorObjective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def contrastive(scores_QP: Tensor, labels: BatchLabels, *, both_directions: bool) -> Tensor:
    """InfoNCE over the passages of all processes. `both_directions` takes the mean of it and of the loss that finds the query
    of each passage."""
    loss = info_nce(scores_QP, labels.targets_Q, labels.excluded_QP)
    return (loss + info_nce(*labels.passages_to_queries())) / 2 if both_directions else loss


def distillation(
    scores_QP: Tensor, labels: BatchLabels, *, temperature: float, contrastive_weight: float
) -> Mapping[str, Tensor]:
    """KL divergence from a teacher's distribution over the passages that each query brought into the batch, plus
    `contrastive_weight` times the contrastive loss. The teacher's scores are divided by `temperature`."""
    parts = {"distillation": list_kl(scores_QP, labels.teacher_QP / temperature)}
    if contrastive_weight:
        parts["contrastive"] = contrastive_weight * info_nce(scores_QP, labels.targets_Q, labels.excluded_QP)
    return parts


def token_likelihood(logits_BLV: Tensor, labels_BL: Tensor, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross entropy of the tokens of the text to generate."""
    return token_losses(logits_BLV, labels_BL, label_smoothing)


def info_nce(scores_QP: Tensor, targets_Q: Tensor, excluded_QP: Tensor) -> Tensor:
    """Mean over queries of `-log softmax(scores)[target]`. The softmax leaves out excluded passages."""
    return F.cross_entropy(scores_QP.masked_fill(excluded_QP, -torch.inf).float(), targets_Q)


def list_kl(scores_QP: Tensor, teacher_QP: Tensor) -> Tensor:
    """Mean over queries of `KL(softmax(teacher) || softmax(scores))` over the passages that the teacher scored: all but nan."""
    known_QP = ~teacher_QP.isnan()
    if not known_QP.any(1).all():
        raise UserError(
            f"objective=distillation needs a teacher's scores for every query, got none for {int((~known_QP.any(1)).sum())} of "
            f"{len(known_QP)} in a batch. Use training data with scores, or objective=contrastive"
        )
    teacher_QP = teacher_QP.float().masked_fill(~known_QP, -torch.inf).log_softmax(1)
    student_QP = scores_QP.float().masked_fill(~known_QP, -torch.inf).log_softmax(1)
    differences_QP = (teacher_QP - student_QP).masked_fill(~known_QP, 0.0)
    return (teacher_QP.exp() * differences_QP).sum(1).mean()


def total_loss(loss: Loss) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Returns the loss to minimize, and its parts by name; no parts where the objective returned one tensor."""
    if isinstance(loss, Tensor):
        return loss, {}
    return torch.stack(list(loss.values())).sum(), loss
