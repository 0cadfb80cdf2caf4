"""The bi-encoder in training."""

import math
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from xdr.encoders.bi_encoder import BiEncoder
from xdr.errors import UserError
from xdr.training.bi_encoder_data import EncodeBatch, TrainBatch
from xdr.training.contrastive import contrastive_loss, excluded_passages
from xdr.training.schedule import adamw, linear_schedule


@dataclass(frozen=True)
class Objective:
    """InfoNCE over the passages of all processes. `scale` multiplies the scores (one over the temperature)."""

    scale: float
    learn_scale: bool
    both_directions: bool
    chunk_size: int


@dataclass(frozen=True)
class Optimizer:
    learning_rate: float
    weight_decay: float
    warmup_share: float


class BiEncoderModule(pl.LightningModule):
    def __init__(
        self,
        bi_encoder: BiEncoder,
        objective: Objective,
        optimizer: Optimizer,
        num_steps: int,
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"settings": settings})  # plain values, so that checkpoints load with weights_only
        self.bi_encoder = bi_encoder
        self.objective = objective
        self._optimizer, self._num_steps = optimizer, num_steps
        self.log_scale = nn.Parameter(torch.tensor(math.log(objective.scale)), requires_grad=objective.learn_scale)
        self.asked_to_end = False
        """Set by who stops a run before its time."""

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        queries_QD, distinct_UD = self.bi_encoder(batch.queries, batch.passages, self.objective.chunk_size)
        loss, masked_share = self.loss(queries_QD, distinct_UD[batch.places_P], batch)
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss is {loss.item()} at step {self.global_step}, for queries {', '.join(batch.query_ids[:5])} ...; the "
                "last checkpoint is good. Lower model.optimizer.learning_rate, or use trainer.precision=32-true or bf16-mixed"
            )
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(batch.query_ids))
        self.log("masked_share", masked_share, batch_size=len(batch.query_ids))
        return loss

    def loss(self, queries_QD: Tensor, passages_PD: Tensor, batch: TrainBatch) -> tuple[Tensor, Tensor]:
        """That of this process's queries over everybody's passages, so that the mean over processes, which DDP takes of the
        gradients, is the loss of one process with the whole batch. Also the share of passages that were no negatives."""
        num_queries = len(queries_QD)
        per_query = len(passages_PD) // num_queries
        rank = self.trainer.global_rank if self._trainer else 0
        all_PD, keys_P = self.gather(passages_PD), self.gather(batch.keys_P)
        targets_Q = (torch.arange(num_queries, device=keys_P.device) + rank * num_queries) * per_query
        excluded_QP = excluded_passages(keys_P, batch.positives_QK, targets_Q)
        scale = self.log_scale.exp().clamp(max=100)
        loss = contrastive_loss(queries_QD, all_PD, targets_Q, excluded_QP, scale)
        if self.objective.both_directions:
            own_Q = targets_Q // per_query
            all_QD = self.gather(queries_QD)
            positives_QK = self.gather(_padded_alike(batch.positives_QK, self._largest(batch.positives_QK.shape[1])))
            answered_QQ = (positives_QK[None] == keys_P[targets_Q][:, None, None]).any(-1)  # by this passage, other queries
            answered_QQ = answered_QQ.scatter(1, own_Q[:, None], False)
            back = contrastive_loss(all_PD[targets_Q], all_QD, own_Q, answered_QQ, scale)
            loss = (loss + back) / 2
        return loss, excluded_QP.float().mean()

    def validation_step(self, batch: EncodeBatch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Vectors of queries, then of passages; who searches with them is a callback."""
        encode = self.bi_encoder.encode_passages if dataloader_idx else self.bi_encoder.encode_queries
        return encode(batch.texts).float()

    def configure_optimizers(self) -> Any:
        optimizer = adamw(self, self._optimizer.learning_rate, self._optimizer.weight_decay)
        schedule = linear_schedule(optimizer, self._num_steps, self._optimizer.warmup_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def gather(self, tensor: Tensor) -> Tensor:
        """Of all processes, in order of rank, with gradients to where each came from."""
        if self._trainer is None or self.trainer.world_size == 1:
            return tensor
        gathered = self.all_gather(tensor, sync_grads=tensor.requires_grad)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)

    def _largest(self, number: int) -> int:
        """Of the numbers that the processes have."""
        return int(self.gather(torch.tensor([number], device=self.device)).max())


def _padded_alike(positives_QK: Tensor, most: int) -> Tensor:
    return torch.nn.functional.pad(positives_QK, (0, most - positives_QK.shape[1]), value=-1)
