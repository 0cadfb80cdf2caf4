"""The LightningDataModule of a retriever.

Q: queries of this process. P: their passages. K: known positives of a query. B: texts of a batch. D: dimension.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xdr.data.training_set import ChosenPassages, TrainingSet, choose_passages, key_of
from xdr.encoders.texts import Texts
from xdr.encoders.tokenization import TextTokenizer
from xdr.text.records import TrainingExample
from xdr.training.batch_labels import language_key
from xdr.training.batches import BatchSettings
from xdr.training.loader import Item, ResumableLoader, training_loader
from xdr.training.validation_pool import ValidationPool, validation_pool


class TrainBatch(NamedTuple):
    """Each query has P/Q passages, a positive first. `passages` holds each distinct passage once; `places_P` says where.

    Keys are numbers that stand for passage ids; rows of `positives_QK` are padded with -1. `teacher_P` holds a teacher's
    scores, nan without a teacher. Languages are numbers: `language_key`."""

    queries: Texts
    passages: Texts
    places_P: Tensor
    keys_P: Tensor
    positives_QK: Tensor
    teacher_P: Tensor
    query_languages_Q: Tensor
    passage_languages_P: Tensor
    query_ids: list[str]


class EncodeBatch(NamedTuple):
    """Texts to encode, and the rows of their vectors."""

    texts: Texts
    rows_B: Tensor


ChosenExample = tuple[TrainingExample, ChosenPassages]


class _Examples(Dataset[list[ChosenExample]]):
    def __init__(self, data: TrainingSet, num_negatives: int, seed: int) -> None:
        self._data, self._num_negatives, self._seed = data, num_negatives, seed

    def __getitem__(self, items: list[Item]) -> list[ChosenExample]:
        return [
            (example, choose_passages(example, self._num_negatives, self._seed, epoch))
            for epoch, example in ((epoch, self._data.examples[row]) for epoch, row in items)
        ]


def collate(tokenizer: TextTokenizer, items: Sequence[ChosenExample]) -> TrainBatch:
    passages = [passage for _, chosen in items for passage in chosen.passages]
    positives = [[key_of(passage.passage_id) for passage in example.positives] for example, _ in items]
    most = max(map(len, positives))
    distinct = {passage.passage_id: passage for passage in passages}
    place_of = {passage_id: place for place, passage_id in enumerate(distinct)}
    scores = [score for _, chosen in items for score in chosen.scores or [torch.nan] * len(chosen.passages)]
    return TrainBatch(
        tokenizer.queries([example.query.text for example, _ in items]),
        tokenizer.passages(list(distinct.values())),
        torch.tensor([place_of[passage.passage_id] for passage in passages]),
        torch.tensor([key_of(passage.passage_id) for passage in passages]),
        torch.tensor([keys + [-1] * (most - len(keys)) for keys in positives]),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor([language_key(example.query.language) for example, _ in items]),
        torch.tensor([language_key(passage.language) for passage in passages]),
        [example.query.query_id for example, _ in items],
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
    ) -> None:
        super().__init__()
        self._data, self._dev, self._tokenizer, self._batches, self._seed = data, dev, tokenizer, batches, seed
        self.pool: ValidationPool | None = None

    def make_pool(self, largest: int) -> ValidationPool:
        """The pool of at most `largest` passages that dev queries are searched in."""
        if self.pool is None:
            self.pool = validation_pool(self._dev, self._data.examples, largest)
        return self.pool

    def train_dataloader(self) -> ResumableLoader:
        examples = _Examples(self._data, self._batches.passages_per_query - 1, self._seed)
        return training_loader(examples, self._data, self._batches, self._seed, partial(collate, self._tokenizer))

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
