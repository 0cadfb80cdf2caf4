"""Work on the shards of a ledger, through `Trainer.predict` or `Trainer.test`."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from xdr.pipelines.plan import explaining_device_memory
from xdr.pipelines.shard_run import make_trainer
from xdr.storage.ledger import ShardLedger

_LOOKS_APART = 0.2
"""Seconds between two looks at what others are at."""


class Work(Protocol):
    def begin(self) -> None:
        """Called in the first process, before its first shard."""
        ...

    def make(self, shard: int) -> None: ...


class ShardModule(pl.LightningModule):
    """Every process walks over all shards and makes those that are missing and that no other is at: one that dies or joins in
    mid-way changes nothing. `work_on(device)` is called once, with the models where they are to be."""

    def __init__(self, models: nn.Module, work_on: Callable[[torch.device], Work], ledger: ShardLedger) -> None:
        super().__init__()
        self.models = models
        self._work_on, self._ledger = work_on, ledger
        self.work: Work

    def _shards(self) -> DataLoader:
        """Each process begins at another one."""
        number, trainer = self._ledger.num_shards, self.trainer
        first = number * trainer.global_rank // trainer.world_size
        order: Any = [(first + place) % number for place in range(number)]
        return DataLoader(order, batch_size=None)

    predict_dataloader = test_dataloader = _shards

    def _begin(self) -> None:
        self.models.eval()
        self.work = self._work_on(self.device)
        if self.trainer.is_global_zero and self._ledger.missing():
            self.work.begin()

    on_predict_start = on_test_start = _begin

    def _make(self, shard: int, batch_idx: int) -> None:
        with self._ledger.claiming(int(shard)) as mine:
            if mine:
                self.work.make(int(shard))

    predict_step = test_step = _make

    def _wait(self) -> None:
        """Others, also of other runs, may be at their last shard, and what comes next wants them all. A shard whose maker dies
        is made here."""
        while missing := self._ledger.missing():
            time.sleep(_LOOKS_APART)
            for shard in missing:
                self._make(shard, 0)

    on_predict_epoch_end = on_test_epoch_end = _wait

    def _meet(self) -> None:
        self.trainer.strategy.barrier()

    on_predict_end = on_test_end = _meet


class _ProbeModule(pl.LightningModule):
    def __init__(self, models: nn.Module, probe: "ProbeStages") -> None:
        super().__init__()
        self.models, self._probe = models, probe

    def test_dataloader(self) -> DataLoader:
        once: Any = [0]
        return DataLoader(once, batch_size=None)

    def test_step(self, batch: int, batch_idx: int) -> None:
        self.models.eval()
        self._probe(self.device, self.trainer.global_rank, self.trainer.world_size)
        self.trainer.strategy.barrier()  # one process may have more to look at


ProbeStages = Callable[[torch.device, int, int], None]
"""Of the device, this process' rank and the number of processes."""


def run_probe(models: nn.Module, probe: ProbeStages, trainer_settings: dict[str, Any], remedy: str) -> None:
    """Calls `probe` once in each process, with the models where and as a job on shards has them. `remedy` is against too little
    memory there."""
    with explaining_device_memory(remedy):
        make_trainer(trainer_settings).test(_ProbeModule(models, probe), verbose=False)
