"""Adversarial training on queries: of several versions of a query, the one with the highest loss under the current model
(worst-of-k: arXiv 1712.02779).

Q: queries of this process. V: versions of a query, or their places. K: twins. M: all versions of this process. N: passages of
this process. P: passages of all processes, in order of rank. D: dimension.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.prepacked import evaluating
from xdr.encoders.texts import select
from xdr.late_interaction.token_encoder import TokenEncoder
from xdr.objectives.batch_labels import positive_and_excluded
from xdr.objectives.processes import rank
from xdr.objectives.scoring import Gather, Similarity
from xdr.objectives.train_batch import TrainBatch


@torch.no_grad()
def version_losses(
    model: BiEncoder | TokenEncoder,
    passages_ND: Tensor,
    batch: TrainBatch,
    similarity: Similarity,
    gather: Gather,
    chunk_size: int,
) -> Tensor:
    """Returns the InfoNCE of each version over the passages of all processes (Q, V); -inf where there is no version. The
    versions are encoded without dropout, so that the choice depends on weights and batch alone."""
    present_QV = batch.version_places_QV >= 0
    losses_QV = torch.full(present_QV.shape, -torch.inf, device=present_QV.device)
    all_PD, keys_P = gather(passages_ND.detach()), gather(batch.keys_P)  # all processes take part, with versions or without
    if not present_QV.any():
        return losses_QV
    with evaluating(model):
        versions_MD = model.encode_queries(select(batch.queries, batch.version_places_QV[present_QV]), chunk_size)
    num_queries = len(present_QV)
    own_Q = torch.arange(num_queries, device=keys_P.device) + rank() * num_queries
    targets_Q = own_Q * (len(passages_ND) // num_queries)
    _, excluded_QP = positive_and_excluded(keys_P, batch.positives_QK, targets_Q)
    query_M = present_QV.nonzero()[:, 0]
    scores_MP = similarity(versions_MD, all_PD).masked_fill(excluded_QP[query_M], -torch.inf)
    losses_QV[present_QV] = F.cross_entropy(scores_MP.float(), targets_Q[query_M], reduction="none")
    return losses_QV


def with_hardest(batch: TrainBatch, losses_QV: Tensor) -> TrainBatch:
    """Returns the batch that is trained on. The versions with the highest losses become the twins; in a batch without twins,
    the version with the highest loss takes the place of its query. The others are left out."""
    num_queries, num_twins = batch.twin_places_QK.shape
    hardest_QV = batch.version_places_QV.gather(1, losses_QV.argsort(dim=1, descending=True, stable=True))
    own_Q = torch.arange(num_queries, device=hardest_QV.device)
    if not num_twins:
        first_Q = hardest_QV[:, 0]
        chosen = batch._replace(queries=select(batch.queries, torch.where(first_Q < 0, own_Q, first_Q)))
    else:
        twins_QK = hardest_QV[:, :num_twins]
        present_QK = twins_QK >= 0
        places_QK = torch.full_like(twins_QK, -1)
        places_QK[present_QK] = num_queries + torch.arange(int(present_QK.sum()), device=own_Q.device)
        queries = select(batch.queries, torch.cat([own_Q, twins_QK[present_QK]]))
        chosen = batch._replace(queries=queries, twin_places_QK=places_QK)
    return chosen._replace(version_places_QV=hardest_QV[:, :0])


def summary(losses_QV: Tensor) -> Mapping[str, Tensor]:
    """The share of the queries that have versions, and for these the mean of the highest loss and that over all versions."""
    present_QV = losses_QV.isfinite()
    share = {"versions/share": present_QV.any(1).float().mean()}
    if not present_QV.any():
        return share
    hardest_Q = losses_QV.amax(1)[present_QV.any(1)]
    return share | {"versions/hardest_loss": hardest_Q.mean(), "versions/mean_loss": losses_QV[present_QV].mean()}
