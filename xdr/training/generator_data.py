"""Batches for the query generator."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xdr.data.training_set import TrainingSet, choose_positive
from xdr.encoders.texts import Texts
from xdr.generators.query_generator import GeneratorTokenizer
from xdr.text.records import Passage, TrainingExample
from xdr.training.batches import Batches
from xdr.training.loader import EpochBatches, Item, ResumableLoader


class WritingBatch(NamedTuple):
    """Prompts, and what is to be written. `languages_B` are places in the list of the run's languages."""

    sources: Texts
    targets: Texts
    first_tokens_B: Tensor | None
    languages_B: Tensor


class Written(NamedTuple):
    """A source and the text that is to be written for it. `language` is the text's, `group` that of the query of the two: the
    one that figures are told apart by."""

    source: Passage
    text: str
    language: str
    group: str


def written(reader: GeneratorTokenizer, example: TrainingExample, passage: Passage) -> Written:
    query = example.query
    if reader.task.direction == "query_from_passage":
        return Written(passage, query.text, query.language, query.language)
    return Written(Passage(query.query_id, "", query.text, query.language), passage.text, passage.language, query.language)


def collate(reader: GeneratorTokenizer, groups: Sequence[str], items: Sequence[Written]) -> WritingBatch:
    sources, _ = reader.sources([reader.prompt(item.source, item.language) for item in items])
    return WritingBatch(
        sources,
        reader.targets([item.text for item in items]),
        reader.first_tokens([item.language for item in items]),
        torch.tensor([groups.index(item.group) for item in items]),
    )


class _Examples(Dataset[list[Written]]):
    def __init__(self, data: TrainingSet, reader: GeneratorTokenizer, seed: int) -> None:
        self._data, self._reader, self._seed = data, reader, seed

    def __getitem__(self, items: list[Item]) -> list[Written]:
        found = []
        for epoch, row in items:
            example = self._data.examples[row]
            found.append(written(self._reader, example, choose_positive(example, self._seed, epoch)))
        return found


class GeneratorData(pl.LightningDataModule):
    """Validation goes over `dev`, each process over its own part of it."""

    def __init__(
        self,
        data: TrainingSet,
        dev: Sequence[Written],
        reader: GeneratorTokenizer,
        batch_size: int,
        order: Batches,
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self._data, self._dev, self._reader = data, dev, reader
        self._batch_size, self._order, self._num_workers, self._seed = batch_size, order, num_workers, seed
        self.groups = sorted({example.query.language for example in data.examples} | {item.group for item in dev})

    def train_dataloader(self) -> ResumableLoader:
        trainer = self.trainer
        assert trainer is not None
        return ResumableLoader(
            _Examples(self._data, self._reader, self._seed),
            EpochBatches(self._data, self._order, self._batch_size, 0.5, self._seed, trainer.global_rank, trainer.world_size),
            collate_fn=partial(collate, self._reader, self.groups),
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            multiprocessing_context="spawn" if self._num_workers else None,
        )

    def val_dataloader(self) -> list[DataLoader]:
        trainer = self.trainer
        assert trainer is not None
        own: Any = list(self._dev[trainer.global_rank :: trainer.world_size])
        if not own:
            return []
        return [DataLoader(own, batch_size=64, collate_fn=partial(collate, self._reader, self.groups))]
