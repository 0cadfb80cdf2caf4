"""What a training will take: a few of its own steps, one of its validations and one of its checkpoints, timed."""

import errno
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from xdr.errors import UserError
from xdr.pipelines.plan import (
    BUDGET,
    PlannedStage,
    Term,
    explaining_device_memory,
    peak_memory,
    plan_table,
    refuse_what_cannot_fit,
    starting,
)
from xdr.training.checkpoints import CheckpointFolder
from xdr.training.run import TrainingRun, checkpoint_to_resume, silence_libraries, training_trainer

_WARM_UP = 2
_TIMED = 50
_NO_VALIDATION_BETWEEN = {"check_val_every_n_epoch": sys.maxsize, "val_check_interval": None}


@dataclass(frozen=True)
class Length:
    """Steps are the optimiser's. `num_validations` are those between steps."""

    num_steps: int
    num_validations: int

    @classmethod
    def of(cls, num_batches: int, trainer: Mapping[str, Any]) -> "Length":
        """`num_batches` in an epoch; `trainer` is Lightning's settings."""
        accumulated, most = trainer["accumulate_grad_batches"], trainer["max_steps"]
        in_epoch = -(-num_batches // accumulated)
        num_steps = trainer["max_epochs"] * in_epoch
        num_steps = min(num_steps, most) if most > 0 else num_steps
        every, interval = trainer["check_val_every_n_epoch"], trainer["val_check_interval"]
        if every is None:
            return cls(num_steps, num_steps * accumulated // interval)
        apart = num_batches if interval is None else int(interval * num_batches) if isinstance(interval, float) else interval
        return cls(num_steps, num_steps // in_epoch // every * (num_batches // max(1, apart)))


def plan_training(
    module: pl.LightningModule,
    data_module: pl.LightningDataModule,
    run: TrainingRun,
    length: Length,
    validates: bool,
    copies: int,
    console: Console,
) -> None:
    """Says what is still to do from the newest checkpoint on, and refuses what cannot fit. `copies` of the weights are left
    beside the checkpoints."""
    kept = run.planned
    assert kept is not None
    silence_libraries()
    start = checkpoint_to_resume(run, console)
    done = torch.load(start, map_location="cpu", weights_only=True, mmap=True)["global_step"] if start else 0
    watch = Stopwatch(run.output_dir)
    run = replace(run, callbacks=[*run.callbacks, watch], logger=False, trainer={**run.trainer, "enable_progress_bar": False})
    module.train()
    remedy = "Lower model.objective.chunk_size (or data.batches.size, for a generator), or set trainer.precision=bf16-mixed"
    with explaining_device_memory(remedy):
        trainer = training_trainer(run, max_steps=_WARM_UP + _TIMED, max_epochs=-1, **_NO_VALIDATION_BETWEEN)
        trainer.fit(module, data_module)
        if validates:
            watch.validate(trainer, module, data_module)
    steps = max(0, length.num_steps - done)
    validations = length.num_validations * steps // length.num_steps + (1 if start else 2) if validates else 0
    every = kept.every_num_steps
    saves = (steps // every if every else 0) + bool(steps)
    keep = kept.number + 1  # a new one is whole before the oldest goes
    memory, device_memory = peak_memory(watch.device)
    stage = PlannedStage(
        "training",
        [
            Term(steps, "steps", watch.step_seconds),
            Term(validations, "validations", watch.validation_seconds),
            Term(saves, "checkpoints", watch.save_seconds),
        ],
        [
            Term(min(saves, keep), "checkpoints", watch.checkpoint_bytes),
            Term(copies, "copies of the weights", watch.weight_bytes),
        ],
        run.output_dir,
        memory,
        device_memory,
    )
    stages = [*watch.start, stage]
    console.print(plan_table(stages))
    refuse_what_cannot_fit(stages, "output_dir")


class Enough(Exception):  # noqa: N818  nothing is wrong
    """A validation has been looked at for long enough."""


class Stopwatch(pl.Callback):
    """Times steps from end to end, with their batches; then a validation, or what of it fits into the budget."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._ends: list[float] = []
        self.start: list[PlannedStage] = []
        self._validation_start = 0.0
        self._batches_seen = 0
        self.step_seconds = self.validation_seconds = self.save_seconds = 0.0
        self.checkpoint_bytes = self.weight_bytes = 0
        self.device: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = [starting(self._output_dir, pl_module.device, 0.0)]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.fit_loop._should_accumulate():
            return
        self._ends.append(time.perf_counter())
        over = len(self._ends) > _WARM_UP + 1 and self._ends[-1] - self._ends[0] > BUDGET
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(over, all=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.device = pl_module.device
        timed = self._ends[_WARM_UP - 1 :]
        self.step_seconds = (timed[-1] - timed[0]) / (len(timed) - 1)
        try:
            with tempfile.TemporaryDirectory(dir=self._output_dir) as name:
                folder = CheckpointFolder(Path(name))
                start = time.perf_counter()
                trainer.save_checkpoint(folder.path(0))
                self.save_seconds = time.perf_counter() - start
                trainer.save_checkpoint(folder.best, weights_only=True)
                if trainer.is_global_zero:
                    self.checkpoint_bytes, self.weight_bytes = (path.stat().st_size for path in (folder.path(0), folder.best))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(f"no checkpoint fits on the disk of {self._output_dir}; set output_dir to a larger one") from error

    def validate(self, trainer: pl.Trainer, module: pl.LightningModule, data_module: pl.LightningDataModule) -> None:
        try:
            trainer.validate(module, data_module, verbose=False)
        except Enough:
            seconds = time.perf_counter() - self._validation_start
            numbers = trainer.num_val_batches
            self.validation_seconds = seconds * sum(map(int, numbers)) / self._batches_seen

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_start = time.perf_counter()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._batches_seen += 1
        over = time.perf_counter() - self._validation_start > BUDGET
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            raise Enough

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validation_seconds = time.perf_counter() - self._validation_start
