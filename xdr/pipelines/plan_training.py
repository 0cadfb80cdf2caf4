"""The plan of a training: some of its own steps, one of its validations and one of its checkpoints, timed."""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from xdr.pipelines.training_length import Length
from xdr.sharding.disk_space import explaining_the_disk
from xdr.sharding.memory import TO_TRAIN, explaining_device_memory, measured_memory
from xdr.sharding.plan import BUDGET_SECONDS, PlannedStage, Term, plan_table, refuse_what_cannot_fit, seconds_of
from xdr.training.checkpoints import CheckpointFolder
from xdr.training.run import TrainingRun, checkpoint_to_resume, silence_libraries, training_trainer

_WARM_UP, _MOST_STEPS = 2, 52
_NO_VALIDATION_BETWEEN = {"check_val_every_n_epoch": sys.maxsize, "val_check_interval": None}


def plan_training(
    module: pl.LightningModule,
    data_module: pl.LightningDataModule,
    run: TrainingRun,
    length: Length,
    validates: bool,
    copies: int,
    console: Console,
) -> None:
    """Prints what is left from the newest checkpoint on, and refuses what cannot fit. `copies` of the weights are written
    beside the checkpoints."""
    planned = run.planned
    assert planned is not None
    silence_libraries()
    start = checkpoint_to_resume(run, console)
    done = torch.load(start, map_location="cpu", weights_only=True, mmap=True)["global_step"] if start else 0
    watch = Stopwatch(run.output_dir)
    run = replace(run, callbacks=[*run.callbacks, watch], logger=False, trainer={**run.trainer, "enable_progress_bar": False})
    module.train()
    with explaining_device_memory(TO_TRAIN):
        trainer = training_trainer(run, max_steps=_MOST_STEPS, max_epochs=-1, **_NO_VALIDATION_BETWEEN)
        trainer.fit(module, data_module)
        if validates:
            watch.validate(trainer, module, data_module)
    steps = max(0, length.num_steps - done)
    validations = length.num_validations * steps // length.num_steps + (1 if start else 2) if validates else 0
    every = planned.every_num_steps
    saves = (steps // every if every else 0) + bool(steps)
    kept = min(saves, planned.number + 1)  # a new one is complete before the oldest is removed
    times = [
        Term(steps, "steps", watch.step_seconds),
        Term(validations, "validations", watch.validation_seconds),
        Term(saves, "checkpoints", watch.save_seconds),
    ]
    disk = [Term(kept, "checkpoints", watch.checkpoint_bytes), Term(copies, "copies of the weights", watch.weight_bytes)]
    stage = PlannedStage("training", times, disk, run.output_dir, watch.memory)
    console.print(plan_table([stage]))
    refuse_what_cannot_fit([stage], "output_dir")


class _OutOfTime(Exception):  # noqa: N818  not an error
    """The validation has taken the time of its probe."""


class Stopwatch(pl.Callback):
    """Times steps from end to end, their batches included; one checkpoint; and a validation, or what of it fits the budget."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._step_ends: list[float] = []
        self._validation_start, self._batches_validated = 0.0, 0
        self.validation_seconds = self.save_seconds = 0.0
        self.checkpoint_bytes = self.weight_bytes = 0

    @property
    def step_seconds(self) -> float:
        timed = self._step_ends[_WARM_UP - 1 :]
        return (timed[-1] - timed[0]) / (len(timed) - 1)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step == len(self._step_ends):
            return  # gradients are still accumulated
        self._step_ends.append(time.perf_counter())
        over = len(self._step_ends) > _WARM_UP and self._step_ends[-1] - self._step_ends[0] > BUDGET_SECONDS
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(over, all=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.memory = measured_memory(pl_module.device)
        self.weight_bytes = sum(weight.numel() * weight.element_size() for weight in pl_module.parameters())
        full = f"No checkpoint fits on the disk of {self._output_dir}; set output_dir to a larger disk"
        with explaining_the_disk(full), tempfile.TemporaryDirectory(dir=self._output_dir) as name:
            path = CheckpointFolder(Path(name)).path(0)
            self.save_seconds = seconds_of(lambda: trainer.save_checkpoint(path))
            self.checkpoint_bytes = path.stat().st_size if path.is_file() else 0

    def validate(self, trainer: pl.Trainer, module: pl.LightningModule, data_module: pl.LightningDataModule) -> None:
        try:
            trainer.validate(module, data_module, verbose=False)
        except _OutOfTime:
            num_batches = sum(map(int, trainer.num_val_batches))
            self.validation_seconds = self._since_start() * num_batches / self._batches_validated

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_start = time.perf_counter()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._batches_validated += 1
        if trainer.strategy.reduce_boolean_decision(self._since_start() > BUDGET_SECONDS, all=False):
            raise _OutOfTime

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validation_seconds = self._since_start()

    def _since_start(self) -> float:
        return time.perf_counter() - self._validation_start
