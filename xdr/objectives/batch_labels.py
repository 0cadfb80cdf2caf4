"""What a training batch knows about its queries and passages besides their scores.

Q: queries of this process. P: passages of all processes, in order of rank. N: passages of this process. K: known positives of a
query, or its twins. V: a query and its twins. A: queries of all processes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xdr.data.training_set import key_of

language_key = key_of
"""The number that stands for a language code in `query_languages_Q` and `passage_languages_P`."""


@dataclass(frozen=True)
class Twins:
    """Other wordings of the queries. A query may have fewer than K, or none; what stands in the place of others is not present.

    `scores_QKP` are their scaled scores for the passages. `from_queries()` returns the scores of this process's queries for the
    twins of all, `scores_QAK`. `from_passages()` returns those of this process's passages for all queries and their twins,
    `scores_NAV`: a query comes before its twins."""

    scores_QKP: Tensor
    present_QK: Tensor
    present_AK: Tensor
    from_queries: Callable[[], Tensor]
    from_passages: Callable[[], Tensor]


@dataclass(frozen=True)
class BatchLabels:
    """The second argument of an objective; the first is `scores_QP`.

    `targets_Q` is the column of the passage that each query is trained on. `positives_QP` marks the known positives of a query,
    and `excluded_QP` the passages that must not count as negatives of its target: other known positives, and later copies of a
    passage. `teacher_QP` holds a teacher's scores of the passages that a query brought into the batch, and nan elsewhere.
    `other_passages()` marks all others that are no known positives. Languages are numbers; `language_key` maps codes to them.

    `passages_to_queries()` returns the other direction: the scores of this process's target passages for the queries of all
    processes, the column of each passage's own query, and the queries that must not count as negatives.

    `twins` is None where `data.batches.twins_per_query` is 0."""

    targets_Q: Tensor
    positives_QP: Tensor
    excluded_QP: Tensor
    teacher_QP: Tensor
    other_passages: Callable[[], Tensor]
    query_languages_Q: Tensor
    passage_languages_P: Tensor
    passages_to_queries: Callable[[], tuple[Tensor, Tensor, Tensor]]
    twins: Twins | None = None


def positive_and_excluded(keys_P: Tensor, positives_QK: Tensor, targets_Q: Tensor) -> tuple[Tensor, Tensor]:
    """Returns which passages are known positives of a query, each once, its target among them; and which must not count as
    negatives: known positives other than the target, and all but the first copy of a passage. Keys are numbers that stand for
    passage ids. Rows of `positives_QK` are padded with -1."""
    known_QP = (positives_QK[:, :, None] == keys_P).any(1)
    repeated_P = _is_repeated(keys_P)
    copies_QP = keys_P[targets_Q][:, None] == keys_P
    positives_QP = (known_QP & ~repeated_P & ~copies_QP).scatter(1, targets_Q[:, None], True)
    return positives_QP, (known_QP | repeated_P).scatter(1, targets_Q[:, None], False)


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
