"""Labels of a batch, typed by hand."""

from typing import Any

import torch
from torch import Tensor

from xdr.objectives.batch_labels import BatchLabels


def labels_of(targets: list[int], num_passages: int, teacher: list[list[float]] | None = None, **others: Any) -> BatchLabels:
    """No passage is excluded, and the target is the one known positive, unless `others` say so."""
    targets_Q = torch.tensor(targets)
    own_QP = torch.arange(num_passages) == targets_Q[:, None]
    fields: dict[str, Any] = {
        "targets_Q": targets_Q,
        "positives_QP": own_QP,
        "excluded_QP": torch.zeros_like(own_QP),
        "teacher_QP": torch.full(own_QP.shape, torch.nan) if teacher is None else torch.tensor(teacher),
        "other_passages": lambda: ~own_QP,
        "query_languages_Q": torch.zeros(len(targets)),
        "passage_languages_P": torch.zeros(num_passages),
        "passages_to_queries": refuse,
    }
    return BatchLabels(**fields | others)


def refuse() -> tuple[Tensor, Tensor, Tensor]:
    raise AssertionError("not needed")
