"""When checkpoints are written: every so many steps, at the end, and when a signal asks the run to end before."""

import signal
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from xdr.training.checkpoints import CheckpointFolder
from xdr.training.signals import ASKING


class KeepCheckpoints(pl.Callback):
    """The newest `keep` of them, and beside them the best by `monitor`, if it is validated: the highest, or the `lowest`."""

    def __init__(
        self, folder: CheckpointFolder, every_num_steps: int, keep: int, monitor: str | None, lowest: bool = False
    ) -> None:
        self._folder, self._every, self._keep, self._monitor = folder, every_num_steps, keep, monitor
        self._sign = -1 if lowest else 1
        self._best = float("-inf")
        self._last_step = -1
        self._asked_to_end = self._due = False
        self._handlers_before: dict[signal.Signals, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """In place of Lightning's handlers, which end the run without a checkpoint."""
        self._handlers_before = {number: signal.signal(number, self._ask_to_end) for number in ASKING}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _ask_to_end(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._asked_to_end:
            raise KeyboardInterrupt  # who asks twice does not wait for a checkpoint
        self._asked_to_end = True

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.fit_loop._should_accumulate():
            return
        ending = trainer.strategy.reduce_boolean_decision(self._asked_to_end, all=False)  # by any process
        if ending:
            trainer.should_stop = True
            setattr(pl_module, "asked_to_end", True)  # noqa: B010  mypy sees a Tensor in every attribute of a module
        self._due = ending or (self._every > 0 and trainer.global_step % self._every == 0)
        if self._due and not trainer.is_last_batch:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or self._monitor is None:
            return
        value = self._sign * float(trainer.callback_metrics[self._monitor])
        if value > self._best:
            self._best = value
            trainer.save_checkpoint(self._folder.best, weights_only=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What is due at the last batch of an epoch waits for the validation: resumed from there, Lightning would skip it."""
        if self._due or trainer.current_epoch + 1 == trainer.max_epochs or trainer.global_step == trainer.max_steps:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        trainer.save_checkpoint(self._folder.path(trainer.global_step))
        if trainer.is_global_zero:
            self._folder.prune(self._keep)
