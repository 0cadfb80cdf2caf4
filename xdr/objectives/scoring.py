"""The scores of a batch, and what an objective may know about them.

Q: queries of this process. N: passages of this process. P: passages of all processes, in order of rank. A: queries of all
processes. K: known positives of a query, or its twins. V: a query and its twins. X: queries and twins of this process.
D: dimension.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from xdr.objectives.batch_labels import BatchLabels, Twins, excluded_queries, positive_and_excluded
from xdr.objectives.train_batch import TrainBatch

Similarity = Callable[[Tensor, Tensor], Tensor]
"""The scores of queries for passages. Their vectors may have any shape."""

Gather = Callable[[Tensor], Tensor]
"""Joins equally large tensors of all processes, in order of rank."""


def score_batch(
    queries_XD: Tensor, passages_ND: Tensor, batch: TrainBatch, similarity: Similarity, gather: Gather, rank: int
) -> tuple[Tensor, BatchLabels]:
    """Returns the scores of this process's queries for the passages of all processes, and what is known about them.
    `queries_XD` are the vectors of `batch.queries`, and `rank` is the place of this process among those of `gather`."""
    num_queries, num_twins = batch.twin_places_QK.shape
    queries_QD = queries_XD[:num_queries]
    per_query = len(passages_ND) // num_queries
    all_PD, keys_P, languages_P = map(gather, (passages_ND, batch.keys_P, batch.passage_languages_P))
    own_Q = torch.arange(num_queries, device=keys_P.device) + rank * num_queries
    targets_Q = own_Q * per_query
    listed_QN = targets_Q[:, None] + torch.arange(per_query, device=keys_P.device)
    scores_QP = similarity(queries_QD, all_PD)
    positives_QP, excluded_QP = positive_and_excluded(keys_P, batch.positives_QK, targets_Q)

    def other_passages() -> Tensor:
        known_QK = torch.cat([batch.positives_QK, keys_P[listed_QN]], 1)
        return ~positive_and_excluded(keys_P, known_QK, targets_Q)[1].scatter(1, targets_Q[:, None], True)

    def passages_to_queries() -> tuple[Tensor, Tensor, Tensor]:
        most = int(gather(torch.tensor([batch.positives_QK.shape[1]], device=keys_P.device)).max())
        positives_AK = gather(F.pad(batch.positives_QK, (0, most - batch.positives_QK.shape[1]), value=-1))
        scores_QA = similarity(gather(queries_QD), all_PD[targets_Q]).T
        return scores_QA, own_Q, excluded_queries(keys_P[targets_Q], positives_AK, own_Q)

    teacher_QP = torch.full_like(scores_QP, torch.nan, dtype=torch.float32)
    labels = BatchLabels(
        targets_Q,
        positives_QP,
        excluded_QP,
        teacher_QP.scatter(1, listed_QN, batch.teacher_P.view(num_queries, per_query)),
        other_passages,
        batch.query_languages_Q,
        languages_P,
        passages_to_queries,
        _twins(queries_XD, all_PD, passages_ND, batch.twin_places_QK, similarity, gather) if num_twins else None,
    )
    return scores_QP, labels


def _twins(
    queries_XD: Tensor, all_PD: Tensor, passages_ND: Tensor, places_QK: Tensor, similarity: Similarity, gather: Gather
) -> Twins:
    """A twin that is not present has the place -1."""
    present_QK, num_queries = places_QK >= 0, len(places_QK)
    twins_QKD = queries_XD[places_QK.clamp(min=0)]

    def from_queries() -> Tensor:
        all_AKD = gather(twins_QKD)
        return similarity(queries_XD[:num_queries], all_AKD.flatten(0, 1)).reshape(num_queries, *all_AKD.shape[:2])

    def from_passages() -> Tensor:
        all_AVD = gather(torch.cat([queries_XD[:num_queries, None], twins_QKD], 1))
        return similarity(all_AVD.flatten(0, 1), passages_ND).reshape(*all_AVD.shape[:2], -1).permute(2, 0, 1)

    return Twins(
        similarity(twins_QKD.flatten(0, 1), all_PD).reshape(*places_QK.shape, -1),
        present_QK,
        gather(present_QK.int()).bool(),
        from_queries,
        from_passages,
    )
