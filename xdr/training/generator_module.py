"""The query generator in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor

from xdr.errors import UserError
from xdr.generators.query_generator import QueryGenerator, token_losses
from xdr.training.generated_samples import GeneratedSample, SampleCheck
from xdr.training.generator_data import WritingBatch
from xdr.training.schedule import adafactor, adamw, linear_schedule


@dataclass(frozen=True)
class WritingOptimizer:
    name: Literal["adamw", "adafactor"]
    learning_rate: float
    weight_decay: float
    warmup_share: float
    label_smoothing: float


class QueryGeneratorModule(pl.LightningModule):
    def __init__(
        self,
        generator: QueryGenerator,
        optimizer: WritingOptimizer,
        num_steps: int,
        groups: Sequence[str],
        check: SampleCheck | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"settings": settings})  # plain values, so that checkpoints load with weights_only
        self.generator = generator
        self._optimizer, self._num_steps = optimizer, num_steps
        self._groups, self._check = list(groups), check
        self.samples: list[GeneratedSample] = []
        """What the last validation drew; whoever logs takes it from here."""
        self.asked_to_end = False
        """Set by who stops a run before its time."""
        self._losses_G2 = torch.zeros(0)

    def training_step(self, batch: WritingBatch, batch_idx: int) -> Tensor:
        """The loss of a token, over the tokens of all processes, so that the mean over processes, which DDP takes of the
        gradients, is the loss of one process with the whole batch."""
        logits_BLV, labels_BL = self.generator(batch.sources, batch.targets, batch.first_tokens_B)
        losses_B, counts_B = token_losses(logits_BLV, labels_BL, self._optimizer.label_smoothing)
        total = self._sum_over_processes(counts_B.sum())
        loss = losses_B.sum() * self._world / total
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss is {loss.item()} at step {self.global_step}; the last checkpoint is good. Lower "
                "model.optimizer.learning_rate, or use trainer.precision=32-true"
            )
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(batch.languages_B))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._losses_G2 = torch.zeros(len(self._groups), 2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: WritingBatch, batch_idx: int) -> None:
        losses_B, counts_B = token_losses(*self.generator(batch.sources, batch.targets, batch.first_tokens_B))
        self._losses_G2.index_add_(0, batch.languages_B, torch.stack([losses_B.double(), counts_B.double()], 1))

    def on_validation_epoch_end(self) -> None:
        losses_G2 = self._sum_over_processes(self._losses_G2).cpu()
        figures = {"dev/loss": float(losses_G2[:, 0].sum() / losses_G2[:, 1].sum())}
        for group, (loss, number) in zip(self._groups, losses_G2.tolist(), strict=True):
            if number:
                figures[f"dev/loss/{group}"] = loss / number
        if self._check is not None:
            self.samples = self._check.draw(self.generator)
            figures |= {f"dev/{name}": value for name, value in self._check.figures(self.samples).items()}
        self.log_dict(figures, rank_zero_only=False)

    def configure_optimizers(self) -> Any:
        settings = self._optimizer
        build = {"adamw": adamw, "adafactor": adafactor}[settings.name]
        optimizer = build(self, settings.learning_rate, settings.weight_decay)
        schedule = linear_schedule(optimizer, self._num_steps, settings.warmup_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self._trainer else 1

    def _sum_over_processes(self, tensor: Tensor) -> Tensor:
        if self._world == 1:
            return tensor
        gathered = self.all_gather(tensor)
        assert isinstance(gathered, Tensor)
        return gathered.sum(0)
