"""Writing texts for a whole collection, in shards, through `Trainer.predict`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from xdr.augmentation.generated_store import write_counts, write_texts
from xdr.augmentation.generation import Generation
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Passage


class Sources(Protocol):
    """A passage store, or queries in its guise."""

    def __len__(self) -> int: ...

    def slice(self, start: int, stop: int) -> Iterator[Passage]: ...


@dataclass(frozen=True)
class Listed:
    """Sources in memory."""

    passages: Sequence[Passage]

    def __len__(self) -> int:
        return len(self.passages)

    def slice(self, start: int, stop: int) -> Iterator[Passage]:
        return iter(self.passages[start:stop])


@dataclass(frozen=True)
class Shards:
    sources: Sources
    ledger: ShardLedger
    shard_size: int

    def slice(self, shard: int) -> list[Passage]:
        start = shard * self.shard_size
        return list(self.sources.slice(start, min(start + self.shard_size, len(self.sources))))

    def size(self, shard: int) -> int:
        return min(self.shard_size, len(self.sources) - shard * self.shard_size)

    def num_missing(self) -> int:
        """Sources."""
        return sum(map(self.size, self.ledger.missing()))


class GenerationModule(pl.LightningModule):
    """Every process walks over all shards and makes those that are missing and that no other is at: one that dies or joins in
    mid-way changes nothing. `generation_on(device)` is called once, with the model where it is to be."""

    def __init__(
        self,
        model: nn.Module,
        generation_on: Callable[[torch.device], Generation],
        shards: Shards,
        report: Callable[[int], None],
        before: Callable[[Generation], None],
    ) -> None:
        super().__init__()
        self.model = model
        self._generation_on, self._shards = generation_on, shards
        self._report, self._before = report, before
        self._generation: Generation

    def predict_dataloader(self) -> DataLoader:
        """Shards, each process beginning at another one."""
        number, trainer = self._shards.ledger.num_shards, self.trainer
        first = number * trainer.global_rank // trainer.world_size
        order: Any = [(first + place) % number for place in range(number)]
        return DataLoader(order, batch_size=None)

    def on_predict_start(self) -> None:
        self.model.eval()
        self._generation = self._generation_on(self.device)
        if self.trainer.is_global_zero:
            self._before(self._generation)

    def predict_step(self, shard: int, batch_idx: int) -> None:
        shard, ledger = int(shard), self._shards.ledger
        with ledger.claiming(shard) as mine:
            if not mine:
                return
            texts, counts = self._generation.write(self._shards.slice(shard), shard, self._report)
            with ledger.writing(shard) as folder:
                write_texts(texts, self._generation.order.languages, folder)
                write_counts(counts, folder)
