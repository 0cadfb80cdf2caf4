"""A training loader that resumes in the middle of an epoch.

Lightning saves the state of a training loader that has one, from rank 0 only, so the state must mean the same on every rank.
Batches are a function of (seed, epoch); the state is the epoch and the number of batches done.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch.utils.data import DataLoader

from xdr.data.training_set import TrainingSet
from xdr.objectives.processes import rank, world_size
from xdr.training.batches import BatchSettings, check_batch_size, epoch_batches, shares


class Item(NamedTuple):
    """A row of the training set. What is shown of the example depends on the epoch, and on the epochs before this batch."""

    epoch: int
    row: int
    epochs_before: float


def training_loader(
    examples: Any, data: TrainingSet, batches: BatchSettings, seed: int, collate: Callable[[Any], Any]
) -> "ResumableLoader":
    """Loads this process's share of each batch. `examples` maps the items of a batch to examples."""
    return ResumableLoader(
        examples,
        EpochBatches(data, batches, seed, rank(), world_size()),
        collate_fn=collate,
        num_workers=batches.num_workers,
        persistent_workers=batches.num_workers > 0,
        multiprocessing_context="spawn" if batches.num_workers else None,
    )


class EpochBatches:
    """A sampler of the items of whole batches."""

    def __init__(self, data: TrainingSet, batches: BatchSettings, seed: int, rank: int, world_size: int) -> None:
        check_batch_size(batches.size, world_size)
        self._arguments = (data, batches, seed)
        self._rank, self._world_size = rank, world_size
        self._length = len(epoch_batches(*self._arguments, 0))
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """All epochs have the number of batches of the first. An epoch that by chance has fewer repeats its first batches."""
        return self._length

    def __iter__(self) -> Iterator[list[Item]]:
        batches = epoch_batches(*self._arguments, self.epoch)
        for number in range(self.start, self._length):
            rows = shares(batches[number % len(batches)], self._rank, self._world_size)
            yield [Item(self.epoch, int(row), self.epoch + number / self._length) for row in rows]


class ResumableLoader(DataLoader):
    """Its dataset takes the items of a batch at once, because Lightning calls `set_epoch` on samplers but not on batch
    samplers."""

    def __init__(self, dataset: Any, sampler: EpochBatches, **settings: Any) -> None:
        super().__init__(dataset, sampler=sampler, batch_size=None, **settings)
        self._epoch_batches = sampler
        self._done = self._skip = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator is enough
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
