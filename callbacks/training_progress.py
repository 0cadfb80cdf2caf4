"""The progress of a training: Lightning's bar in a terminal, and a plain line now and then in a log file."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

from xdr.sharding.progress import Lines


class TrainingProgress(RichProgressBar):
    """Counts steps of the optimizer. A resumed run counts from where it resumes."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self._lines: Lines | None = None
        self._first_step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not Console().is_interactive:
            self.disable()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.is_disabled and trainer.is_global_zero:
            self._first_step = trainer.global_step
            total = int(trainer.estimated_stepping_batches) - self._first_step
            self._lines = Lines("steps", Console(), total)

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        super().on_train_batch_end(trainer, *arguments)
        if self._lines is not None:
            self._lines.update(trainer.global_step - self._first_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self._lines is not None:
            self._lines.finish()
