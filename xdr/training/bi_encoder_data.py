"""Batches for the bi-encoder."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xdr.data.training_set import TrainingSet, choose_negatives, choose_positive, key_of
from xdr.encoders.texts import Texts
from xdr.encoders.tokenization import TextTokenizer
from xdr.text.records import Passage, TrainingExample
from xdr.training.batches import BatchSettings
from xdr.training.loader import EpochBatches, Item, ResumableLoader
from xdr.training.validation_pool import ValidationPool


class TrainBatch(NamedTuple):
    """Of each query the first of its P/Q passages answers it. A passage that comes twice stands in `passages` once, and
    `places_P` says where. Keys stand for passage ids; rows of `positives_QK` are filled up with -1."""

    queries: Texts
    passages: Texts
    places_P: Tensor
    keys_P: Tensor
    positives_QK: Tensor
    query_ids: list[str]


class EncodeBatch(NamedTuple):
    """Texts to encode and the rows that their vectors go to."""

    texts: Texts
    rows_B: Tensor


Drawn: TypeAlias = tuple[TrainingExample, list[Passage]]


class _Examples(Dataset[list[Drawn]]):
    def __init__(self, data: TrainingSet, num_negatives: int, seed: int) -> None:
        self._data, self._num_negatives, self._seed = data, num_negatives, seed

    def __getitem__(self, items: list[Item]) -> list[Drawn]:
        return [self._drawn(epoch, row) for epoch, row in items]

    def _drawn(self, epoch: int, row: int) -> Drawn:
        example = self._data.examples[row]
        positive = choose_positive(example, self._seed, epoch)
        return example, [positive, *choose_negatives(example, self._num_negatives, self._seed, epoch)]


def collate(reader: TextTokenizer, items: Sequence[Drawn]) -> TrainBatch:
    passages = [passage for _, chosen in items for passage in chosen]
    positives = [[key_of(passage.passage_id) for passage in example.positives] for example, _ in items]
    most = max(map(len, positives))
    distinct = {passage.passage_id: passage for passage in passages}
    place_of = {passage_id: place for place, passage_id in enumerate(distinct)}
    return TrainBatch(
        reader.queries([example.query.text for example, _ in items]),
        reader.passages(list(distinct.values())),
        torch.tensor([place_of[passage.passage_id] for passage in passages]),
        torch.tensor([key_of(passage.passage_id) for passage in passages]),
        torch.tensor([keys + [-1] * (most - len(keys)) for keys in positives]),
        [example.query.query_id for example, _ in items],
    )


class BiEncoderData(pl.LightningDataModule):
    def __init__(
        self, data: TrainingSet, pool: ValidationPool | None, reader: TextTokenizer, batches: BatchSettings, seed: int
    ) -> None:
        super().__init__()
        self._data, self.pool, self._reader, self._batches, self._seed = data, pool, reader, batches, seed

    def train_dataloader(self) -> ResumableLoader:
        settings = self._batches
        trainer = self.trainer
        assert trainer is not None
        sampler = EpochBatches(
            self._data,
            settings.order,
            settings.size,
            settings.monolingual_share,
            self._seed,
            trainer.global_rank,
            trainer.world_size,
        )
        return ResumableLoader(
            _Examples(self._data, settings.passages_per_query - 1, self._seed),
            sampler,
            collate_fn=partial(collate, self._reader),
            num_workers=settings.num_workers,
            persistent_workers=settings.num_workers > 0,
            multiprocessing_context="spawn" if settings.num_workers else None,
        )

    def val_dataloader(self) -> list[DataLoader]:
        """Queries, then the pool: each process its own rows, no row twice."""
        if self.pool is None:
            return []
        trainer = self.trainer
        assert trainer is not None
        loaders: list[DataLoader] = []
        sizes = (len(self.pool.queries), len(self.pool.passages))
        for size, tokens_of in zip(sizes, (self._queries, self._passages), strict=True):
            rows = list(range(trainer.global_rank, size, trainer.world_size))
            loaders.append(DataLoader(rows, batch_size=256, collate_fn=tokens_of))  # type: ignore[arg-type]  # a list is a Dataset
        return loaders

    def _queries(self, rows: list[int]) -> EncodeBatch:
        assert self.pool is not None
        return EncodeBatch(self._reader.queries([self.pool.queries[row].text for row in rows]), torch.tensor(rows))

    def _passages(self, rows: list[int]) -> EncodeBatch:
        assert self.pool is not None
        return EncodeBatch(self._reader.passages([self.pool.passages[row] for row in rows]), torch.tensor(rows))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Ids of queries stay where they are."""
        if isinstance(batch, TrainBatch):
            ids = batch.query_ids
            moved = super().transfer_batch_to_device(batch._replace(query_ids=[]), device, dataloader_idx)
            return moved._replace(query_ids=ids)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)
