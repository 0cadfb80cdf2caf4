"""Work on the shards of a ledger, through `Trainer.predict` or `Trainer.test`."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from xdr.sharding.memory import explaining_device_memory
from xdr.sharding.shard_run import make_trainer
from xdr.storage.ledger import ShardLedger

WAIT_POLL_SECONDS = 0.2
"""How often a process that has finished looks at the shards that other processes still make."""


class Work(Protocol):
    def begin(self) -> None:
        """Called once, in the first process, before its first shard."""
        ...

    def make(self, shard: int) -> None: ...


class ShardModule(pl.LightningModule):
    """Every process visits all shards, and makes those that are missing and that no other process is making. Processes can
    therefore die, or join later. `work_on(device)` is called once the models are on the device."""

    def __init__(self, models: nn.Module, work_on: Callable[[torch.device], Work], ledger: ShardLedger) -> None:
        super().__init__()
        self.models = models
        self._work_on, self._ledger = work_on, ledger
        self._work: Work | None = None

    @property
    def work(self) -> Work:
        """What `work_on` returned. Callbacks that go on with its models read it, from the first shard on."""
        assert self._work is not None, "work begins in on_test_start or on_predict_start"
        return self._work

    def _shards(self) -> DataLoader:
        """Each process starts at another shard."""
        num_shards, trainer = self._ledger.num_shards, self.trainer
        first = num_shards * trainer.global_rank // trainer.world_size
        order: Any = [(first + place) % num_shards for place in range(num_shards)]
        return DataLoader(order, batch_size=None)

    predict_dataloader = test_dataloader = _shards

    def _begin(self) -> None:
        self.models.eval()
        self._work = self._work_on(self.device)
        if self.trainer.is_global_zero and self._ledger.missing():
            self._work.begin()

    on_predict_start = on_test_start = _begin

    def _make(self, shard: int, batch_idx: int) -> None:
        with self._ledger.claiming(int(shard)) as is_ours:
            if is_ours:
                self.work.make(int(shard))

    predict_step = test_step = _make

    def _wait(self) -> None:
        """The next stage needs all shards, and other processes or other runs may still make their last ones. This process
        makes the shard of one that died."""
        while missing := self._ledger.missing():
            time.sleep(WAIT_POLL_SECONDS)
            for shard in missing:
                self._make(shard, 0)

    on_predict_epoch_end = on_test_epoch_end = _wait

    def _meet(self) -> None:
        self.trainer.strategy.barrier()

    on_predict_end = on_test_end = _meet


ProbeStages = Callable[[torch.device, int, int], None]
"""A function of the device, the rank of this process and the number of processes."""


class _ProbeModule(pl.LightningModule):
    def __init__(self, models: nn.Module, probe: ProbeStages) -> None:
        super().__init__()
        self.models, self._probe = models, probe

    def test_dataloader(self) -> DataLoader:
        once: Any = [0]
        return DataLoader(once, batch_size=None)

    def test_step(self, batch: int, batch_idx: int) -> None:
        self.models.eval()
        self._probe(self.device, self.trainer.global_rank, self.trainer.world_size)
        self.trainer.strategy.barrier()  # the first process may have more stages to probe


def run_probe(models: nn.Module, probe: ProbeStages, trainer_settings: dict[str, Any], remedy: str) -> None:
    """Calls `probe` once in each process, with the models where a job on shards would have them. `remedy` tells the user what
    to do if the device's memory is too small."""
    with explaining_device_memory(remedy):
        make_trainer(trainer_settings).test(_ProbeModule(models, probe), verbose=False)
