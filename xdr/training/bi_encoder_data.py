"""The LightningDataModule of a retriever.

B: texts of a batch.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xdr.data.training_set import ChosenPassages, TrainingSet, choose_passages, choose_twins, choose_versions, key_of
from xdr.encoders.texts import Texts
from xdr.encoders.tokenization import TextTokenizer
from xdr.objectives.batch_labels import language_key
from xdr.objectives.train_batch import TrainBatch
from xdr.text.records import TrainingExample
from xdr.training.batches import BatchSettings, epoch_batches
from xdr.training.loader import Item, ResumableLoader, training_loader
from xdr.training.validation_pool import ValidationPool, validation_pool


class EncodeBatch(NamedTuple):
    """Texts to encode, and the rows of their vectors."""

    texts: Texts
    rows_B: Tensor


class ChosenExample(NamedTuple):
    """An example, and what an epoch shows of it. `others` are its twins, or the versions that may take the query's place."""

    example: TrainingExample
    passages: ChosenPassages
    others: list[str]


class _Examples(Dataset[list[ChosenExample]]):
    def __init__(self, data: TrainingSet, batches: BatchSettings, seed: int, num_epochs: float) -> None:
        self._data, self._batches, self._seed, self._num_epochs = data, batches, seed, num_epochs

    def __getitem__(self, items: list[Item]) -> list[ChosenExample]:
        return [self._choose(self._data.examples[item.row], item) for item in items]

    def _choose(self, example: TrainingExample, item: Item) -> ChosenExample:
        batches, seed, epoch = self._batches, self._seed, item.epoch
        share, number = batches.noise_at(item.epochs_before / self._num_epochs)
        passages = choose_passages(example, batches.passages_per_query - 1, seed, epoch)
        num_twins = max(batches.twins_per_query, number) if batches.twins_per_query else 0
        twins = choose_twins(example, num_twins, seed, epoch, self._data.reword)
        versions = choose_versions(example.query, share, number, seed, epoch, self._data.noise)
        if batches.most_noise.versions > 1:
            return ChosenExample(example, passages, twins or versions)
        query = replace(example.query, text=versions[0]) if versions else example.query
        return ChosenExample(replace(example, query=query), passages, twins)


def collate(tokenizer: TextTokenizer, num_twins: int, items: Sequence[ChosenExample], num_versions: int = 0) -> TrainBatch:
    """`num_versions` is the most that a query has to choose from; 0 means that nothing is chosen."""
    examples = [item.example for item in items]
    passages = [passage for item in items for passage in item.passages.passages]
    positives = [[key_of(passage.passage_id) for passage in example.positives] for example in examples]
    most = max(map(len, positives))
    places = count(len(items))
    most_others = max(num_twins, num_versions)
    others = [[next(places) if i < len(item.others) else -1 for i in range(most_others)] for item in items]
    places_QK = torch.tensor(others, dtype=torch.long).view(len(items), most_others)
    distinct = {passage.passage_id: passage for passage in passages}
    place_of = {passage_id: place for place, passage_id in enumerate(distinct)}
    scores = [score for item in items for score in item.passages.scores or [torch.nan] * len(item.passages.passages)]
    return TrainBatch(
        tokenizer.queries([*(example.query.text for example in examples), *(text for item in items for text in item.others)]),
        places_QK[:, :num_twins],
        places_QK[:, :num_versions],
        tokenizer.passages(list(distinct.values())),
        torch.tensor([place_of[passage.passage_id] for passage in passages]),
        torch.tensor([key_of(passage.passage_id) for passage in passages]),
        torch.tensor([keys + [-1] * (most - len(keys)) for keys in positives]),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor([language_key(example.query.language) for example in examples]),
        torch.tensor([language_key(passage.language) for passage in passages]),
        [example.query.query_id for example in examples],
    )


class BiEncoderData(pl.LightningDataModule):
    """Training batches of `data`. There are validation batches once `make_pool` was called, as the validation callback does."""

    def __init__(
        self,
        data: TrainingSet,
        dev: Sequence[TrainingExample],
        tokenizer: TextTokenizer,
        batches: BatchSettings,
        seed: int,
        num_epochs: float = 1.0,
    ) -> None:
        super().__init__()
        self._data, self._dev, self._tokenizer, self._batches, self._seed = data, dev, tokenizer, batches, seed
        versions = batches.most_noise.versions
        self._collate = partial(collate, tokenizer, batches.twins_per_query, num_versions=versions if versions > 1 else 0)
        self._examples = _Examples(data, batches, seed, num_epochs)
        self.pool: ValidationPool | None = None

    def make_pool(self, largest: int) -> ValidationPool:
        """The pool of at most `largest` passages that dev queries are searched in."""
        if self.pool is None:
            self.pool = validation_pool(self._dev, self._data.examples, largest)
        return self.pool

    def train_dataloader(self) -> ResumableLoader:
        return training_loader(self._examples, self._data, self._batches, self._seed, self._collate)

    def first_batch(self) -> TrainBatch:
        """The first batch of a training, of one process."""
        rows = epoch_batches(self._data, self._batches, self._seed, 0)[0]
        return self._collate(self._examples[[Item(0, int(row), 0.0) for row in rows]])

    def val_dataloader(self) -> list[DataLoader]:
        """Queries, then passages of the pool, each process its share."""
        if self.pool is None:
            return []
        trainer, pool = self.trainer, self.pool
        assert trainer is not None
        loaders: list[DataLoader] = []
        for texts, tokenize in (
            ([query.text for query in pool.queries], self._tokenizer.queries),
            (pool.passages, self._tokenizer.passages),
        ):
            rows = list(range(trainer.global_rank, len(texts), trainer.world_size)) or [0]  # no process is without one
            loaders.append(DataLoader(rows, batch_size=256, collate_fn=partial(_encode_batch, tokenize, texts)))  # type: ignore[arg-type]  # a list is a Dataset
        return loaders

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Query ids stay on the CPU."""
        if isinstance(batch, TrainBatch):
            ids = batch.query_ids
            moved = super().transfer_batch_to_device(batch._replace(query_ids=[]), device, dataloader_idx)
            return moved._replace(query_ids=ids)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)


def _encode_batch(tokenize: Any, texts: Sequence[Any], rows: list[int]) -> EncodeBatch:
    return EncodeBatch(tokenize([texts[row] for row in rows]), torch.tensor(rows))
