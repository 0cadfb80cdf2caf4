"""A checkpoint records its W&B run and the number of rows logged so far."""

from typing import Any

import lightning.pytorch as pl

from callbacks.run_rows import Position
from callbacks.wandb_logger import WandbLogger


class SameWandbRun(pl.Callback):
    """Makes a resumed training log to the W&B run of its checkpoint, each row once. Does nothing with other loggers.

    Lightning logs the metrics of a training step after the step's callbacks, so a checkpoint is saved before the row of its own
    step is logged, and a resumed run does not log that row. The checkpoint therefore records the row's metrics."""

    def __init__(self) -> None:
        self._step_metrics: frozenset[str] | None = None
        """Names of the metrics that are logged at training steps. `trainer.logged_metrics` holds those of validations too."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step_metrics = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self._step_metrics is None:  # before the first validation
            self._step_metrics = frozenset(trainer.logged_metrics)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if isinstance(trainer.logger, WandbLogger) and trainer.is_global_zero:
            step = trainer.global_step - 1  # Lightning counts logged steps from 0
            checkpoint["wandb"] = list(trainer.logger.position(step, self._row_of_this_step(trainer)))

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if isinstance(trainer.logger, WandbLogger) and "wandb" in checkpoint:
            trainer.logger.resume_from(Position(*checkpoint["wandb"]))

    def _row_of_this_step(self, trainer: pl.Trainer) -> dict[str, float]:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by its constructor
        if not self._step_metrics or not every or (trainer.global_step % every and not trainer.should_stop):
            return {}
        metrics = {name: value.item() for name, value in trainer.logged_metrics.items() if name in self._step_metrics}
        return {**metrics, "epoch": trainer.current_epoch}
