"""The LightningModule of a retriever.

Q: queries of this process. X: these and their twins. N: passages of this process. U: the distinct ones. P: passages of all
processes. D: dimension.
"""

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.open_encoder import open_encoder
from xdr.errors import UserError
from xdr.late_interaction.token_encoder import TokenEncoder
from xdr.objectives.batch_labels import BatchLabels
from xdr.objectives.hardest_versions import summary, version_losses, with_hardest
from xdr.objectives.losses import RetrieverObjective, total_loss
from xdr.objectives.processes import rank, world_size
from xdr.objectives.scoring import score_batch
from xdr.objectives.token_alignment import TokenAlignment
from xdr.objectives.train_batch import TrainBatch
from xdr.training.bi_encoder_data import EncodeBatch
from xdr.training.optimizers import Optimizer

_LARGEST_SCALE = 100


class BiEncoderModule(pl.LightningModule):
    """Trains a bi-encoder, or an encoder of late interaction, with an objective.

    `score_scale` multiplies the scores (one over the temperature); `learn_scale` trains it. `chunk_size` above zero encodes
    that many texts at a time, so that memory does not grow with the batch. `settings` are plain values that are saved in
    checkpoints. A module without objective or optimizer can encode but not train."""

    def __init__(
        self,
        bi_encoder: BiEncoder | TokenEncoder,
        objective: RetrieverObjective | TokenAlignment | None = None,
        optimizer: Optimizer | None = None,
        num_steps: int = 0,
        *,
        score_scale: float = 1.0,
        learn_scale: bool = False,
        chunk_size: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if score_scale <= 0:
            raise UserError(f"model.score_scale must be above 0, got {score_scale}")
        self.save_hyperparameters({"settings": dict(settings or {})})
        self.bi_encoder = bi_encoder
        self.objective = objective
        self._optimizer, self._num_steps, self._chunk_size = optimizer, num_steps, chunk_size
        self.log_scale = nn.Parameter(torch.tensor(math.log(score_scale)), requires_grad=learn_scale)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, map_location: Any = None, **arguments: Any) -> "BiEncoderModule":  # type: ignore[override]  # fewer parameters
        """Returns the module of a checkpoint. Configuration and tokenizer are read from `model/` beside the checkpoint.
        `arguments` are those of the constructor; give `objective` and `optimizer` to train on."""
        queries, passages, _ = open_encoder(str(checkpoint_path))
        checkpoint = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        arguments = {"settings": checkpoint["hyper_parameters"]["settings"], **arguments}
        module = cls(BiEncoder(queries, passages), **arguments)
        own = isinstance(module.objective, nn.Module)
        module.load_state_dict({k: v for k, v in checkpoint["state_dict"].items() if own or not k.startswith("objective.")})
        return module.to(map_location) if map_location is not None else module

    def setup(self, stage: str) -> None:
        if self.trainer.world_size > 1 and isinstance(self.bi_encoder, TokenEncoder):
            raise UserError(
                f"trainer.devices must be 1 for late interaction, got {self.trainer.world_size} processes: the vectors of all "
                "tokens of a batch would go from each process to all others"
            )

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        assert self.objective is not None, "training needs an objective"
        if isinstance(self.objective, TokenAlignment):
            loss, parts = total_loss(self.objective(self.bi_encoder, batch, self._chunk_size))
        else:
            batch, queries_XD, distinct_UD = self._encode(batch)
            scores_QP, labels = self.score(queries_XD, distinct_UD[batch.places_P], batch)
            loss, parts = total_loss(self.objective(scores_QP, labels))
            self.log("masked_share", labels.excluded_QP.float().mean(), batch_size=len(batch.query_ids))
        if not torch.isfinite(loss):
            raise UserError(
                f"The loss is {loss.item()} at step {self.global_step}, for queries {', '.join(batch.query_ids[:5])} ... The "
                "last checkpoint is intact. Lower model.optimizer.learning_rate, or set trainer.precision=32-true or bf16-mixed"
            )
        num_queries = len(batch.query_ids)
        self.log("loss", loss.detach(), prog_bar=True, batch_size=num_queries)
        self.log_dict({f"loss/{name}": part.detach() for name, part in parts.items()}, batch_size=num_queries)
        return loss

    def _encode(self, batch: TrainBatch) -> tuple[TrainBatch, Tensor, Tensor]:
        """Returns the batch with the versions that are trained on, and the vectors of its queries and passages."""
        model, chunk_size = self.bi_encoder, self._chunk_size
        if not batch.version_places_QV.shape[1]:
            return batch, *model(batch.queries, batch.passages, chunk_size)
        distinct_UD = model.encode_passages(batch.passages, chunk_size)  # once: the versions are compared with these vectors
        passages_ND = distinct_UD.detach()[batch.places_P]
        losses_QV = version_losses(model, passages_ND, batch, self._similarity, self.gather, chunk_size)
        self.log_dict(summary(losses_QV), batch_size=len(batch.query_ids))
        chosen = with_hardest(batch, losses_QV)
        return chosen, model.encode_queries(chosen.queries, chunk_size), distinct_UD

    def score(self, queries_XD: Tensor, passages_ND: Tensor, batch: TrainBatch) -> tuple[Tensor, BatchLabels]:
        """Returns the scaled scores of this process's queries for the passages of all processes, and what is known about them.

        DDP takes the mean of the gradients over processes, so it equals the gradient of one process with the whole batch."""
        return score_batch(queries_XD, passages_ND, batch, self._similarity, self.gather, rank())

    def _similarity(self, queries_XD: Tensor, passages_PD: Tensor) -> Tensor:
        return self.log_scale.exp().clamp(max=_LARGEST_SCALE) * self.bi_encoder.similarity(queries_XD, passages_PD)

    def validation_step(self, batch: EncodeBatch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Returns vectors of queries (first loader) or passages (second loader); a callback computes metrics from them."""
        encode = self.bi_encoder.encode_passages if dataloader_idx else self.bi_encoder.encode_queries
        return encode(batch.texts).float()

    def configure_optimizers(self) -> Any:
        assert self._optimizer is not None, "training needs an optimizer"
        return self._optimizer.build(self, self._num_steps)

    def gather(self, tensor: Tensor) -> Tensor:
        """Joins equally large tensors of all processes, in order of rank. Gradients go back to the process of each part."""
        if world_size() == 1:
            return tensor
        gathered = self.all_gather(tensor, sync_grads=tensor.requires_grad)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)
