"""The LightningModule of a query generator.

B: texts of a batch. L: tokens. V: vocabulary. N: languages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from xdr.errors import UserError
from xdr.generators.generator_folder import AnyGenerator, open_generator
from xdr.generators.query_generator import token_losses
from xdr.generators.settings import Task
from xdr.objectives.losses import GeneratorObjective
from xdr.objectives.processes import world_size
from xdr.training.generator_data import GeneratorBatch
from xdr.training.optimizers import Optimizer


class TokenLoss(Metric):
    """Mean cross entropy of a token: over all, and by language."""

    full_state_update = False
    higher_is_better = False
    losses_N: Tensor
    counts_N: Tensor

    def __init__(self, languages: Sequence[str]) -> None:
        super().__init__()
        self._languages = list(languages)
        for name in ("losses_N", "counts_N"):
            self.add_state(name, torch.zeros(len(languages), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, losses_B: Tensor, counts_B: Tensor, languages_B: Tensor) -> None:
        self.losses_N = self.losses_N.double().index_add(0, languages_B, losses_B.double())  # bf16-true has changed its type
        self.counts_N = self.counts_N.double().index_add(0, languages_B, counts_B.double())

    def compute(self) -> dict[str, float]:
        metrics = {"dev/loss": float(self.losses_N.sum() / self.counts_N.sum())}
        for language, loss, number in zip(self._languages, self.losses_N.tolist(), self.counts_N.tolist(), strict=True):
            if number:
                metrics[f"dev/loss/{language}"] = loss / number
        return metrics


class QueryGeneratorModule(pl.LightningModule):
    """Trains a generator with an objective. `languages` are those of the data module. `settings` are plain values that are
    saved in checkpoints. A module without objective or optimizer can generate but not train."""

    def __init__(
        self,
        generator: AnyGenerator,
        objective: GeneratorObjective | None = None,
        optimizer: Optimizer | None = None,
        num_steps: int = 0,
        *,
        languages: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"settings": dict(settings or {}), "languages": list(languages)})
        self.generator = generator
        self.objective = objective
        self._optimizer, self._num_steps = optimizer, num_steps
        self.dev_loss = TokenLoss(languages)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, map_location: Any = None, **arguments: Any) -> "QueryGeneratorModule":  # type: ignore[override]  # fewer parameters
        """Returns the module of a checkpoint. Configuration and tokenizer are read from `model/` beside the checkpoint.
        `arguments` are those of the constructor; give `objective` and `optimizer` to train on."""
        any_lengths = Task("query_from_passage", "prompt", 128, 32)  # lengths are the tokenizer's
        generator, _, _ = open_generator(str(checkpoint_path), any_lengths)
        checkpoint = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        module = cls(generator, **{**checkpoint["hyper_parameters"], **arguments})
        return module.to(map_location) if map_location is not None else module

    def training_step(self, batch: GeneratorBatch, batch_idx: int) -> Tensor:
        """Returns the mean loss over the tokens of all processes. DDP takes the mean of the gradients over processes, so it
        equals the gradient of one process with the whole batch."""
        assert self.objective is not None, "training needs an objective"
        losses_B, counts_B = self.generator.losses(batch.inputs, self.objective)
        loss = losses_B.sum() * world_size() / self._sum_over_processes(counts_B.sum())
        if not torch.isfinite(loss):
            raise UserError(
                f"The loss is {loss.item()} at step {self.global_step}. The last checkpoint is intact. Lower "
                "model.optimizer.learning_rate, or set trainer.precision=32-true"
            )
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(batch.languages_B))
        return loss

    def validation_step(self, batch: GeneratorBatch, batch_idx: int) -> None:
        self.dev_loss.update(*self.generator.losses(batch.inputs, token_losses), batch.languages_B)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.dev_loss.compute(), rank_zero_only=False)
        self.dev_loss.reset()

    def configure_optimizers(self) -> Any:
        assert self._optimizer is not None, "training needs an optimizer"
        return self._optimizer.build(self, self._num_steps)

    def _sum_over_processes(self, tensor: Tensor) -> Tensor:
        if world_size() == 1:
            return tensor
        gathered = self.all_gather(tensor)
        assert isinstance(gathered, Tensor)
        return gathered.sum(0)
