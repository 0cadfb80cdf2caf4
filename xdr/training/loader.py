"""A loader that goes on where a checkpoint was written, in the middle of an epoch too.

Lightning saves the state of any train loader that has one, of rank 0 alone: so it must mean the same on every rank. Batches are
a function of (seed, epoch); the state is the epoch and the number of batches done.
"""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from xdr.data.training_set import TrainingSet
from xdr.training.batches import Batches, check_batch_size, epoch_batches, shares

Item = tuple[int, int]


class EpochBatches:
    """A sampler of whole batches. Its items are (epoch, row): what is drawn for an example depends on the epoch."""

    def __init__(
        self, data: TrainingSet, kind: Batches, batch_size: int, monolingual_share: float, seed: int, rank: int, world: int
    ) -> None:
        check_batch_size(batch_size, world)
        self._arguments = (data, kind, batch_size, monolingual_share, seed)
        self._rank, self._world = rank, world
        self._length = len(epoch_batches(*self._arguments, 0))
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Of a whole epoch, the same for all: where chance made fewer batches, the first come again."""
        return self._length

    def __iter__(self) -> Iterator[list[Item]]:
        batches = epoch_batches(*self._arguments, self.epoch)
        for number in range(self.start, self._length):
            rows = shares(batches[number % len(batches)], self._rank, self._world)
            yield [(self.epoch, int(row)) for row in rows]


class ResumableLoader(DataLoader):
    """Its dataset takes a batch's items at once: Lightning tells the epoch to a sampler, not to a batch sampler."""

    def __init__(self, dataset: Any, sampler: EpochBatches, **settings: Any) -> None:
        super().__init__(dataset, sampler=sampler, batch_size=None, **settings)
        self._epoch_batches = sampler
        self._done = self._skip = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator will do
        self._epoch_batches.start = self._done = self._skip
        self._skip = 0
        for batch in super().__iter__():
            self._done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        epochs, batches = divmod(self._done, len(self))
        return {"epoch": self._epoch_batches.epoch + epochs, "batches": batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._skip = state["batches"]
        self._epoch_batches.epoch = state["epoch"]
