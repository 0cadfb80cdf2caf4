"""Controls: what a fusion reads in the place of the texts that were generated for a passage. They show how much of a gain is
due to what the texts say, and how much any vector like theirs would bring.

    mean_text               the mean of all texts of the collection
    mean_text_by_language   the mean of all texts in the same language
    other_passages          the texts of another passage of the shard, by a seeded permutation that moves every passage
    own_sentences           the sentences of the passage itself

A control keeps the formula, and passages without generated texts stay without: only what is fused differs. A mean stands in the
place of each text, so that a passage has as many as before.

G groups of a layout, N rows, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger, refusing_damage
from xdr.storage.locks import locked
from xdr.vectors.embeddings import Block, EmbeddingStore, Rows, ShardBlock
from xdr.vectors.layout import Selection

_SEED = 42
_BLOCK_ROWS = 16_384
_FORMAT = 1
_FILES = ("sums.npy", "counts.npy")


@dataclass(frozen=True, eq=False)
class MeanTexts:
    """`means` are pairs of groups and the mean of the texts in them."""

    means: Sequence[tuple[Selection, NDArray[np.float64]]]

    def read(self, block: Block, rows: Rows | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        counts = [_stored(block).counts(selection, rows) for selection, _ in self.means]
        sums = [counts_N[:, None] * mean_D for counts_N, (_, mean_D) in zip(counts, self.means, strict=True)]
        return np.sum(sums, axis=0), np.sum(counts, axis=0)


@dataclass(frozen=True, eq=False)
class OtherPassages:
    store: EmbeddingStore
    selection: Selection

    def read(self, block: Block, rows: Rows | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        shard = _stored(block).whole_shard()
        first = block.first_row - shard.first_row
        others_N = self._others[shard.first_row][first : first + block.num_rows]
        return shard.generated(self.selection, others_N if rows is None else others_N[rows])

    @cached_property
    def _others(self) -> dict[int, NDArray[np.int64]]:
        """For each shard, by its first row: the row in the shard whose texts each row gets."""
        return {shard.first_row: self._permuted(shard) for shard in self.store.blocks(len(self.store))}

    def _permuted(self, shard: ShardBlock) -> NDArray[np.int64]:
        """Rows with texts form one cycle in random order, so none keeps its place. Rows without texts do."""
        others_N = np.arange(shard.num_rows)
        cycle = np.flatnonzero(shard.counts(self.selection) > 0)
        if len(cycle) == 1:
            raise UserError(
                "augmentation.controls must not name other_passages where a shard has one passage with texts, as that of row "
                f"{shard.first_row + cycle[0]:,} has. Raise search.shard_size"
            )
        np.random.default_rng([_SEED, shard.first_row]).shuffle(cycle)
        others_N[cycle] = np.roll(cycle, 1)
        return others_N


@dataclass(frozen=True, eq=False)
class SentenceSums:
    """`sentences` holds the same rows in the same shards, with one sum each."""

    sentences: EmbeddingStore
    selection: Selection

    def read(self, block: Block, rows: Rows | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        same_rows = self.sentences.block(block.first_row, block.num_rows)
        sums_ND, counts_N = same_rows.generated(Selection((0,)), rows)
        has_texts_N = _stored(block).counts(self.selection, rows) > 0
        return sums_ND * has_texts_N[:, None], counts_N * has_texts_N


def mean_texts(store: EmbeddingStore, selection: Selection, by_language: bool, folder: Path) -> MeanTexts:
    """The means are computed in one pass over the stored sums, and kept in `folder`. A group of the selection is a language."""
    made_by: dict[str, Json] = {"embeddings": store.ledger.fingerprint, "groups": list(selection.groups), "format": _FORMAT}
    place = folder / fingerprint(made_by)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{place.name}.lock"):  # another process waits, and reads
        ledger = ShardLedger.create(place, "mean texts", 1, made_by)
        if ledger.missing():
            with ledger.writing(0) as partial:
                for name, values in zip(_FILES, _sums(store, selection), strict=True):
                    np.save(partial / name, values)
    sums_GD, counts_G = (_read(ledger.file(0, name)) for name in _FILES)
    if not by_language:
        return MeanTexts([(selection, _mean(sums_GD.sum(axis=0), counts_G.sum()))])
    of_language = zip(selection.groups, sums_GD, counts_G, strict=True)
    return MeanTexts([(Selection((group,)), _mean(sum_D, count)) for group, sum_D, count in of_language])


def _read(path: Path) -> NDArray:
    with refusing_damage(path):
        values: NDArray = np.load(path, allow_pickle=False)
        return values


def _mean(sum_D: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """With the digits of float32, so that its multiples are exact in float64, and all passages get one and the same mean."""
    return (sum_D / max(1, count)).astype(np.float32).astype(np.float64)


def _stored(block: Block) -> ShardBlock:
    assert isinstance(block, ShardBlock), "controls are for stored embeddings"
    return block


def _sums(store: EmbeddingStore, selection: Selection) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    sums_GD, counts_G = np.zeros((len(selection.groups), store.dimension)), np.zeros(len(selection.groups), np.int64)
    for block in store.blocks(_BLOCK_ROWS):
        for place, group in enumerate(selection.groups):
            sums_ND, counts_N = block.generated(Selection((group,)))
            sums_GD[place] += sums_ND.sum(axis=0, dtype=np.float64)
            counts_G[place] += counts_N.sum()
    return sums_GD, counts_G
