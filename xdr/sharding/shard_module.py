"""Work on the shards of a ledger, through `Trainer.test`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

from xdr.sharding.disk_space import explaining_the_disk
from xdr.sharding.engine import Engine
from xdr.sharding.memory import explaining_device_memory
from xdr.sharding.progress import counting
from xdr.sharding.shard_run import ShardProgress, make_trainer
from xdr.sharding.shards import Shards
from xdr.storage.ledger import ShardLedger


class Work(Protocol):
    def begin(self, num_processes: int) -> None:
        """Called once, in the first process, before its first shard."""
        ...

    def make(self, shard: int, without: tuple[int, ...]) -> None:
        """`without` are rows that are taken as if they were empty."""
        ...

    def attempt(self, first: int, stop: int) -> None:
        """Does the work for these rows, and keeps nothing."""
        ...


@dataclass(frozen=True)
class ShardJob:
    """The missing shards of a ledger, and how they are made. `work_on` is called in each process, once the models are on its
    device. Progress counts `unit`, of which a source has `per_source`. `remedy` tells what to do if the device's memory is
    too small."""

    models: nn.Module
    work_on: Callable[[torch.device, ShardProgress], Work]
    shards: Shards
    unit: str
    remedy: str
    per_source: int = 1


def make_shards(
    job: ShardJob,
    trainer_settings: dict[str, Any],
    console: Console,
    engine: Engine,
    callbacks: Sequence[pl.Callback] = (),
    logger: Any = False,
) -> None:
    """Makes the missing shards, then runs the callbacks' `on_test_end`."""
    trainer = make_trainer(trainer_settings, callbacks, logger)
    bar = console if trainer_settings["enable_progress_bar"] else Console(quiet=True)
    counted = counting(job.unit, bar, job.shards.num_missing() * job.per_source)
    with counted as show, explaining_the_disk(), explaining_device_memory(job.remedy):
        trainer.test(ShardModule(job, ShardProgress(job.shards, job.per_source, show), engine), verbose=False)
    warn_about(job.shards.ledger, console)


def warn_about(ledger: ShardLedger, console: Console) -> None:
    """Sources that were left out, and shards of other versions."""
    warnings = []
    if ids := ledger.emptied():
        named = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        warnings.append(f"{len(ids)} of the texts killed each process that worked on them, and were taken as empty: {named}")
    if others := ledger.other_versions():
        made = f"{ledger.folder} has shards of {', '.join(others)}, and other versions are installed"
        warnings.append(f"{made}: digits can differ. Remove it to make it again")
    for warning in warnings:
        console.print(warning, style="yellow", markup=False, soft_wrap=True)


class ShardModule(pl.LightningModule):
    """Makes the shards that `engine` gives to this process."""

    def __init__(self, job: ShardJob, progress: ShardProgress, engine: Engine) -> None:
        super().__init__()
        self.models = job.models
        self._job, self._progress, self._engine = job, progress, engine
        self._work: Work | None = None

    @property
    def work(self) -> Work:
        """What `work_on` returned. Callbacks that go on with its models read it, from the first shard on."""
        assert self._work is not None, "work begins in on_test_start"
        return self._work

    def test_dataloader(self) -> DataLoader:
        return once()

    def on_test_start(self) -> None:
        self.models.eval()
        self._work = self._job.work_on(self.device, self._progress)
        if self.trainer.is_global_zero and self._job.shards.ledger.missing():
            self._work.begin(self.trainer.world_size)

    def test_step(self, batch: int, batch_idx: int) -> None:
        for task in self._engine.shards(self._job.shards, self.trainer, lambda: self._progress.report(0)):
            if task.rows is None:
                self.work.make(task.shard, task.without)
            else:
                self.work.attempt(*task.rows)
        self._progress.end()

    def on_test_end(self) -> None:
        self.trainer.strategy.barrier()  # the next stage needs all shards


def once() -> DataLoader:
    """A loader with one batch, for a step that does all the work."""
    only: Any = [0]
    return DataLoader(only, batch_size=None)


ProbeStages = Callable[[torch.device, int, int], None]
"""A function of the device, the rank of this process and the number of processes."""


class _ProbeModule(pl.LightningModule):
    def __init__(self, models: nn.Module, probe: ProbeStages) -> None:
        super().__init__()
        self.models, self._probe = models, probe

    def test_dataloader(self) -> DataLoader:
        return once()

    def test_step(self, batch: int, batch_idx: int) -> None:
        self.models.eval()
        self._probe(self.device, self.trainer.global_rank, self.trainer.world_size)
        self.trainer.strategy.barrier()  # the first process may have more stages to probe


def run_probe(models: nn.Module, probe: ProbeStages, trainer_settings: dict[str, Any], remedy: str) -> None:
    """Calls `probe` once in each process, with the models where a job on shards would have them. `remedy` tells the user what
    to do if the device's memory is too small."""
    with explaining_device_memory(remedy):
        make_trainer(trainer_settings).test(_ProbeModule(models, probe), verbose=False)
