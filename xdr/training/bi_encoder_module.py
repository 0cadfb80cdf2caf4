"""The LightningModule of a retriever.

Q: queries of this process. U: their distinct passages. P: passages of all processes. A: queries of all processes. K: known
positives of a query. D: dimension.
"""

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.open_encoder import open_encoder
from xdr.errors import UserError
from xdr.training.batch_labels import BatchLabels, excluded_passages, excluded_queries
from xdr.training.bi_encoder_data import EncodeBatch, TrainBatch
from xdr.training.objectives import RetrieverObjective, total_loss
from xdr.training.optimizers import Optimizer
from xdr.training.processes import rank, world_size

_LARGEST_SCALE = 100


class BiEncoderModule(pl.LightningModule):
    """Trains a bi-encoder with an objective.

    `score_scale` multiplies the scores (one over the temperature); `learn_scale` trains it. `chunk_size` above zero encodes
    that many texts at a time, so that memory does not grow with the batch. `settings` are plain values that are saved in
    checkpoints. A module without objective or optimizer can encode but not train."""

    def __init__(
        self,
        bi_encoder: BiEncoder,
        objective: RetrieverObjective | None = None,
        optimizer: Optimizer | None = None,
        num_steps: int = 0,
        *,
        score_scale: float = 1.0,
        learn_scale: bool = False,
        chunk_size: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
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

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        assert self.objective is not None, "training needs an objective"
        queries_QD, distinct_UD = self.bi_encoder(batch.queries, batch.passages, self._chunk_size)
        scores_QP, labels = self.score(queries_QD, distinct_UD[batch.places_P], batch)
        loss, parts = total_loss(self.objective(scores_QP, labels))
        if not torch.isfinite(loss):
            raise UserError(
                f"The loss is {loss.item()} at step {self.global_step}, for queries {', '.join(batch.query_ids[:5])} ... The "
                "last checkpoint is intact. Lower model.optimizer.learning_rate, or set trainer.precision=32-true or bf16-mixed"
            )
        num_queries = len(batch.query_ids)
        self.log("loss", loss.detach(), prog_bar=True, batch_size=num_queries)
        self.log_dict({f"loss/{name}": part.detach() for name, part in parts.items()}, batch_size=num_queries)
        self.log("masked_share", labels.excluded_QP.float().mean(), batch_size=num_queries)
        return loss

    def score(self, queries_QD: Tensor, passages_PD: Tensor, batch: TrainBatch) -> tuple[Tensor, BatchLabels]:
        """Returns the scaled scores of this process's queries for the passages of all processes, and what is known about them.

        DDP takes the mean of the gradients over processes, so it equals the gradient of one process with the whole batch."""
        num_queries = len(queries_QD)
        per_query = len(passages_PD) // num_queries
        all_PD, keys_P, languages_P = map(self.gather, (passages_PD, batch.keys_P, batch.passage_languages_P))
        own_Q = torch.arange(num_queries, device=keys_P.device) + rank() * num_queries
        targets_Q = own_Q * per_query
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        scores_QP = scale * self.bi_encoder.similarity(queries_QD, all_PD)

        def passages_to_queries() -> tuple[Tensor, Tensor, Tensor]:
            positives_AK = self.gather(_padded(batch.positives_QK, self._largest(batch.positives_QK.shape[1])))
            scores_QA = scale * self.bi_encoder.similarity(self.gather(queries_QD), all_PD[targets_Q]).T
            return scores_QA, own_Q, excluded_queries(keys_P[targets_Q], positives_AK, own_Q)

        teacher_QP = torch.full_like(scores_QP, torch.nan, dtype=torch.float32)
        columns_QN = targets_Q[:, None] + torch.arange(per_query, device=keys_P.device)
        labels = BatchLabels(
            targets_Q,
            excluded_passages(keys_P, batch.positives_QK, targets_Q),
            teacher_QP.scatter(1, columns_QN, batch.teacher_P.view(num_queries, per_query)),
            batch.query_languages_Q,
            languages_P,
            passages_to_queries,
        )
        return scores_QP, labels

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

    def _largest(self, number: int) -> int:
        return int(self.gather(torch.tensor([number], device=self.device)).max())


def _padded(positives_QK: Tensor, num_positives: int) -> Tensor:
    return F.pad(positives_QK, (0, num_positives - positives_QK.shape[1]), value=-1)
