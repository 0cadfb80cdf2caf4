"""The LightningDataModule of a query generator.

B: texts of a batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xdr.data.training_set import TrainingSet, choose_positive
from xdr.errors import UserError
from xdr.generators.generator_folder import AnyTokenizer
from xdr.generators.settings import Task
from xdr.text.identification import LanguageIdentifier
from xdr.text.records import Passage, TrainingExample
from xdr.training.batches import BatchSettings
from xdr.training.loader import Item, ResumableLoader, training_loader


class GeneratorBatch(NamedTuple):
    """`inputs` are the tokens of prompts and texts, as the generator takes them. `languages_B` are indices into the `languages`
    of the data module."""

    inputs: Any
    languages_B: Tensor


class Target(NamedTuple):
    """A source, the text to generate for it, and the language of that text. `query_language`, that of the query of the two,
    is the one that metrics are told apart by."""

    source: Passage
    text: str
    language: str
    query_language: str


def target_of(tokenizer: AnyTokenizer, example: TrainingExample, passage: Passage) -> Target:
    query = example.query
    if tokenizer.task.direction == "query_from_passage":
        return Target(passage, query.text, query.language, query.language)
    source = Passage(query.query_id, "", query.text, query.language)
    return Target(source, passage.text, passage.language, query.language)


def written_languages(task: Task, examples: Iterable[TrainingExample]) -> Task:
    """The task with the languages of the texts that these examples teach to generate."""
    of_queries = task.direction == "query_from_passage"
    languages = {e.query.language if of_queries else passage.language for e in examples for passage in e.positives}
    return replace(task, languages=tuple(sorted(languages)))


def collate(tokenizer: AnyTokenizer, languages: Sequence[str], items: Sequence[Target]) -> GeneratorBatch:
    inputs = tokenizer.training_inputs(
        [item.source for item in items], [item.language for item in items], [item.text for item in items]
    )
    return GeneratorBatch(inputs, torch.tensor([languages.index(item.query_language) for item in items]))


class _Targets(Dataset[list[Target]]):
    def __init__(self, data: TrainingSet, tokenizer: AnyTokenizer, seed: int) -> None:
        self._data, self._tokenizer, self._seed = data, tokenizer, seed

    def __getitem__(self, items: list[Item]) -> list[Target]:
        chosen = ((self._data.examples[item.row], item.epoch) for item in items)
        return [target_of(self._tokenizer, example, choose_positive(example, self._seed, epoch)) for example, epoch in chosen]


class GeneratorData(pl.LightningDataModule):
    """Training batches of `data`. There are validation batches once `choose_dev` was called, as the validation callback
    does."""

    def __init__(
        self,
        data: TrainingSet,
        dev: Sequence[TrainingExample],
        tokenizer: AnyTokenizer,
        identifier: LanguageIdentifier | None,
        batches: BatchSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self._data, self._dev, self._batches, self._seed = data, dev, batches, seed
        self.tokenizer, self.identifier = tokenizer, identifier
        self.languages = sorted({example.query.language for example in (*data.examples, *dev)})
        self.dev: list[Target] = []

    def choose_dev(self, largest: int) -> list[Target]:
        """One target of each of the first `largest` dev examples."""
        if largest and not self._dev:
            raise UserError(
                "Validation needs dev examples, and the data has none. Set callbacks.validation.largest_dev=0 to train without "
                "validation"
            )
        examples = self._dev[:largest]
        self.dev = [target_of(self.tokenizer, example, choose_positive(example, 0, 0)) for example in examples]
        return self.dev

    def train_dataloader(self) -> ResumableLoader:
        targets = _Targets(self._data, self.tokenizer, self._seed)
        return training_loader(targets, self._data, self._batches, self._seed, self._collate)

    def val_dataloader(self) -> list[DataLoader]:
        """Each process has its share of the dev targets. Those of one source come together."""
        trainer = self.trainer
        assert trainer is not None
        own: Any = sorted(self.dev, key=lambda target: target.source.passage_id)[trainer.global_rank :: trainer.world_size]
        return [DataLoader(own, batch_size=64, collate_fn=self._collate)] if own else []

    @property
    def _collate(self) -> Any:
        return partial(collate, self.tokenizer, self.languages)
