"""Checkpoints every so many steps, at the end, and when SIGTERM or Ctrl-C asks the run to stop; and the best one."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from xdr.errors import Unfinished, UserError, did_you_mean
from xdr.training.checkpoints import CheckpointFolder
from xdr.training.signals import ASKING

_STOPPED_EARLY = "stopped_early"


class Checkpoints(ModelCheckpoint):
    """Lightning's `ModelCheckpoint` keeps the weights with the best value of `monitor` in `best.ckpt`, in the folder
    `checkpoints` of the trainer's `default_root_dir`. Beside it are the newest
    `keep` checkpoints, one every `every_num_steps` steps (0: only the last).

    A signal saves a checkpoint after the current step and ends the run with `Unfinished`. A run that an early stop ended has
    nothing left to do when it is started again."""

    def __init__(self, every_num_steps: int, keep: int, monitor: str | None, mode: Literal["max", "min"]) -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            save_weights_only=True,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        if keep < 1:
            raise UserError(f"keep must be at least 1, got {keep}")
        self._every_num_steps, self._keep = every_num_steps, keep
        self._step = self._saved_step = -1
        self._asked_to_stop = self._due = False
        self._handlers_before: dict[signal.Signals, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.dirpath = os.path.realpath(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replaces Lightning's handlers, which end the run without a checkpoint."""
        super().on_train_start(trainer, pl_module)
        self._step = trainer.global_step
        self._handlers_before = {number: signal.signal(number, self._ask_to_stop) for number in ASKING}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        if self._asked_to_stop:
            raise Unfinished

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._asked_to_stop:
            raise KeyboardInterrupt  # a second Ctrl-C does not wait for a checkpoint
        self._asked_to_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step == self._step:  # gradients are still accumulated
            return
        self._step = trainer.global_step
        self._asked_to_stop = trainer.strategy.reduce_boolean_decision(self._asked_to_stop, all=False)  # of any process
        if self._asked_to_stop:
            trainer.should_stop = True
        self._due = self._asked_to_stop or (self._every_num_steps > 0 and self._step % self._every_num_steps == 0)
        if self._due and not trainer.is_last_batch:
            self._save_step(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.monitor is None:
            return
        if self.monitor not in trainer.callback_metrics:
            metrics = list(map(str, trainer.callback_metrics))
            remedy = did_you_mean(self.monitor, metrics) or f"there are {', '.join(metrics)}"
            raise UserError(f"callbacks.checkpoints.monitor must be a logged metric, got {self.monitor}; {remedy}")
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A checkpoint that is due at the last batch of an epoch waits for the validation: Lightning would skip the
        validation of a run that resumes from there."""
        is_last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        if self._due or is_last_epoch or trainer.global_step == trainer.max_steps or trainer.should_stop:
            self._save_step(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[_STOPPED_EARLY] = trainer.should_stop and not self._asked_to_stop

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Lightning does not save that a callback such as EarlyStopping has ended the run."""
        trainer.should_stop = checkpoint.get(_STOPPED_EARLY, False)

    def _save_step(self, trainer: pl.Trainer) -> None:
        if trainer.global_step == self._saved_step:
            return
        assert self.dirpath is not None
        folder = CheckpointFolder(Path(self.dirpath))
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(folder.path(trainer.global_step))
        if trainer.is_global_zero:
            folder.prune(self._keep)
