"""What a training batch knows about its queries and passages besides their scores.

Q: queries of this process. P: passages of all processes, in order of rank. K: known positives of a query. A: queries of all
processes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xdr.data.training_set import key_of

language_key = key_of
"""The number that stands for a language code in `query_languages_Q` and `passage_languages_P`."""


@dataclass(frozen=True)
class BatchLabels:
    """The second argument of an objective; the first is `scores_QP`.

    `targets_Q` is the column of the passage that each query is trained on. `excluded_QP` marks passages that must not count
    as negatives: other known positives, and later copies of a passage. `teacher_QP` holds a teacher's scores of the passages
    that a query brought into the batch, and nan elsewhere. Languages are numbers; `language_key` maps codes to them.

    `passages_to_queries()` returns the other direction: the scores of this process's target passages for the queries of all
    processes, the column of each passage's own query, and the queries that must not count as negatives."""

    targets_Q: Tensor
    excluded_QP: Tensor
    teacher_QP: Tensor
    query_languages_Q: Tensor
    passage_languages_P: Tensor
    passages_to_queries: Callable[[], tuple[Tensor, Tensor, Tensor]]


def excluded_passages(keys_P: Tensor, positives_QK: Tensor, targets_Q: Tensor) -> Tensor:
    """Returns which passages must not count as negatives: known positives of the query other than its target, and all but the
    first copy of a passage. Keys are numbers that stand for passage ids. Rows of `positives_QK` are padded with -1."""
    known_QP = (positives_QK[:, :, None] == keys_P).any(1)
    excluded_QP = known_QP | _is_repeated(keys_P)
    return excluded_QP.scatter(1, targets_Q[:, None], False)


def excluded_queries(target_keys_Q: Tensor, positives_AK: Tensor, own_Q: Tensor) -> Tensor:
    """Returns which other queries each target passage is a known positive of."""
    excluded_QA = (positives_AK[None] == target_keys_Q[:, None, None]).any(-1)
    return excluded_QA.scatter(1, own_Q[:, None], False)


def _is_repeated(keys_P: Tensor) -> Tensor:
    """True where an earlier place has the same key."""
    sorted_P, order_P = keys_P.sort(stable=True)
    repeated_P = torch.zeros_like(keys_P, dtype=torch.bool)
    repeated_P[order_P[1:]] = sorted_P[1:] == sorted_P[:-1]
    return repeated_P
