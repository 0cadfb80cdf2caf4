"""A checkpoint knows its W&B run, and how far that was."""

from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.apply_func import convert_tensors_to_scalars

from callbacks.run_rows import Position
from callbacks.wandb_logger import WandbLogger


class SameWandbRun(pl.Callback):
    def __init__(self, logger: WandbLogger) -> None:
        self._logger = logger

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.is_global_zero:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
            checkpoint["wandb"] = [*self._logger.position, step, _metrics_of_this_step(trainer)]

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if "wandb" in checkpoint:
            self._logger.go_on_from(Position(*checkpoint["wandb"]))


def _metrics_of_this_step(trainer: pl.Trainer) -> dict[str, float]:
    """What Lightning logs once the step's last callback has returned."""
    connector = trainer._logger_connector
    if connector._first_loop_iter is None or not connector.should_update_logs:
        return {}
    metrics = connector.metrics["log"]
    return {**convert_tensors_to_scalars(metrics), "epoch": trainer.current_epoch} if metrics else {}
