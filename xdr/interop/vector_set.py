"""The vectors of one system over a collection, in order, with ids and texts: what goes into another tool.

N rows, D dimensions.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xdr.data.passage_store import PassageStore
from xdr.errors import UserError
from xdr.retrieval.index_search import SystemVectors
from xdr.retrieval.indexes import Index
from xdr.storage.files import creating_folder
from xdr.storage.fingerprint import Json
from xdr.text.records import Passage
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family

_ROWS = 16384


class Batch(NamedTuple):
    first_row: int
    ids: list[str]
    vectors_ND: NDArray[np.float32]
    passages: list[Passage]
    """Empty where texts were not asked for."""


@dataclass(frozen=True)
class VectorSet:
    """`family` has one system. `about` says what made the vectors."""

    embeddings: EmbeddingStore
    family: Family
    store: PassageStore
    about: Mapping[str, Json]
    index: Index | None = None
    """For targets that are an index."""
    progress: Callable[[int], None] = lambda num_rows: None

    @property
    def dimension(self) -> int:
        return self.embeddings.dimension

    def __len__(self) -> int:
        return len(self.embeddings)

    def about_as_text(self) -> str:
        return json.dumps(dict(self.about), ensure_ascii=False)

    def ids(self) -> Iterator[list[str]]:
        """Block by block."""
        for block in self.embeddings.blocks(_ROWS):
            yield self.embeddings.ids(np.arange(block.first_row, block.first_row + block.num_rows))

    def of_system(self) -> SystemVectors:
        return SystemVectors(self.embeddings, self.family, self.progress, 0)

    def batches(self, texts: bool, least: int = 1) -> Iterator[Batch]:
        """Of at least `least` rows each, but for the last."""
        first, waiting = 0, []
        for vectors_ND in self.of_system().blocks():
            waiting.append(vectors_ND)
            if sum(map(len, waiting)) >= least:
                yield self._batch(first, np.concatenate(waiting), texts)
                first, waiting = first + sum(map(len, waiting)), []
        if waiting:
            yield self._batch(first, np.concatenate(waiting), texts)

    def _batch(self, first: int, vectors_ND: NDArray[np.float32], texts: bool) -> Batch:
        stop = first + len(vectors_ND)
        ids = self.embeddings.ids(np.arange(first, stop))
        return Batch(first, ids, vectors_ND, list(self.store.slice(first, stop)) if texts else [])


class VectorTarget(Protocol):
    """Where vectors go."""

    def write(self, vectors: VectorSet, folder: Path) -> str:
        """Writes all into the new `folder`, or to a server. Returns where they are."""
        ...


def write_vectors(vectors: VectorSet, target: VectorTarget, folder: Path) -> str:
    """All of it, or no folder. Returns where the vectors are."""
    if folder.exists():
        raise UserError(f"{folder} exists already. Remove it, or choose another output_dir")
    with creating_folder(folder) as partial:
        where = target.write(vectors, partial)
    if not any(folder.iterdir()):  # they are on a server
        folder.rmdir()
    return where.replace(str(partial), str(folder))
