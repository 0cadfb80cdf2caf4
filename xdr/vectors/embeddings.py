"""Vectors of a collection on disk: those of its passages, and for each passage the sums of its generated texts' vectors.

    FOLDER/shard-00007/passages.npy      float16 (N, D), if the layout has passages
    FOLDER/shard-00007/companions.npy    float16 (G, N, D), the sums, one for each group of the layout
    FOLDER/shard-00007/counts.npy        uint16 (G, N), how many vectors are in each sum
    FOLDER/shard-00007/ids.arrow         the ids of the passages

A ledger lists the shards; rows are numbered through all of them, in order. A collection is read in blocks, so memory does not
grow with its size. Shapes: N rows, D dimensions, G groups.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from xdr.storage.ledger import ShardLedger, refusing_damage
from xdr.vectors.layout import Layout, Selection, layout_of

KIND = "embeddings"
_HEADER_BYTES = 1024
Rows: TypeAlias = slice | NDArray[np.integer]


class Block(Protocol):
    """Consecutive rows of a collection. Its arrays are read when they are asked for, and are not kept."""

    @property
    def first_row(self) -> int: ...

    @property
    def num_rows(self) -> int: ...

    def passages(self, rows: Rows | None = None) -> NDArray[np.floating]:
        """float16 or float32, (N, D)."""
        ...

    def generated(self, selection: Selection, rows: Rows | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """For each row, the sum over the selected groups, and the number of vectors in it."""
        ...


class Embeddings(Protocol):
    """The vectors of a collection, as searches read them."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def __len__(self) -> int: ...

    def num_rows(self, shards: Sequence[int]) -> int: ...

    def blocks(self, num_rows: int, shards: Sequence[int] | None = None) -> Iterator[Block]:
        """Blocks of at most `num_rows` rows, in order; of `shards` only, where given."""
        ...

    def ids(self, rows: NDArray[np.integer]) -> list[str]:
        """The passage ids of rows, in the order of `rows`."""
        ...


class _Shard(NamedTuple):
    number: int
    first_row: int
    num_rows: int


@dataclass(frozen=True, slots=True)
class ShardBlock:
    """Consecutive rows of one shard."""

    first_row: int
    num_rows: int
    _store: "EmbeddingStore"
    _shard: _Shard

    def passages(self, rows: Rows | None = None) -> NDArray[np.float16]:
        return self._values("passages.npy", np.float16, 0, self._store.dimension, rows)

    def generated(self, selection: Selection, rows: Rows | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        sums_ND = None
        for group in selection.groups:
            half_ND = self._values("companions.npy", np.float16, group, self._store.dimension, rows)
            group_ND = torch.from_numpy(half_ND).float().numpy()  # numpy takes thirteen times as long
            sums_ND = group_ND if sums_ND is None else np.add(sums_ND, group_ND, out=sums_ND)
        assert sums_ND is not None
        return sums_ND, self.counts(selection, rows)

    def counts(self, selection: Selection, rows: Rows | None = None) -> NDArray[np.int64]:
        """The number of texts of each row."""
        of_groups = [self._values("counts.npy", np.uint16, group, 1, rows)[:, 0] for group in selection.groups]
        counts_N: NDArray[np.int64] = np.sum(of_groups, axis=0, dtype=np.int64)
        return counts_N

    def whole_shard(self) -> "ShardBlock":
        return ShardBlock(self._shard.first_row, self._shard.num_rows, self._store, self._shard)

    def _values(self, name: str, dtype: type[np.generic], group: int, width: int, rows: Rows | None) -> NDArray:
        """All rows are read, which takes a third of the time of mapping them; some rows are picked from a map. The map is
        copy-on-write because torch asks for writable arrays; the file does not change."""
        path, start = self._store.file(self._shard, name)
        row = group * self._shard.num_rows + self.first_row - self._shard.first_row
        offset = start + row * width * np.dtype(dtype).itemsize
        if rows is None:
            return np.fromfile(path, dtype, self.num_rows * width, offset=offset).reshape(-1, width)
        return np.memmap(path, dtype, "c", offset, (self.num_rows, width))[rows]


@dataclass(frozen=True, slots=True)
class EmbeddingStore:
    """A complete set of shards. A file's checksum is verified when the file is first used, and a remote file is fetched then,
    so a process that searches some shards reads only these."""

    ledger: ShardLedger
    layout: Layout
    _shards: tuple[_Shard, ...]
    _opened: dict[tuple[int, str], tuple[Path, int]] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, folder: Path) -> "EmbeddingStore":
        """Raises an error unless every shard is there."""
        ledger = ShardLedger.open(folder, KIND)
        ledger.require_complete()
        layout = layout_of(ledger)
        name = "passages.npy" if layout.passages else "counts.npy"
        heads = ledger.heads(name, _HEADER_BYTES)
        rows = [_header(head, path, 2)[0][-2 if layout.passages else -1] for path, head in heads.items()]
        first_rows = accumulate(rows, initial=0)
        return cls(ledger, layout, tuple(map(_Shard, range(ledger.num_shards), first_rows, rows)))

    @property
    def name(self) -> str:
        return str(self.ledger.folder)

    @property
    def dimension(self) -> int:
        return self.layout.dimension

    @property
    def num_shards(self) -> int:
        return len(self._shards)

    def __len__(self) -> int:
        return self.num_rows(range(self.num_shards))

    def num_rows(self, shards: Sequence[int]) -> int:
        return sum(self._shards[shard].num_rows for shard in shards)

    def blocks(self, num_rows: int, shards: Sequence[int] | None = None) -> Iterator[ShardBlock]:
        for number in range(self.num_shards) if shards is None else shards:
            shard = self._shards[number]
            for start in range(0, shard.num_rows, num_rows):
                yield ShardBlock(shard.first_row + start, min(num_rows, shard.num_rows - start), self, shard)

    def block(self, first_row: int, num_rows: int) -> ShardBlock:
        """These rows, which belong to one shard."""
        shard = self._shards[bisect_right(self._shards, first_row, key=lambda shard: shard.first_row) - 1]
        assert first_row + num_rows <= shard.first_row + shard.num_rows
        return ShardBlock(first_row, num_rows, self, shard)

    def ids(self, rows: NDArray[np.integer]) -> list[str]:
        ids = np.empty(len(rows), object)
        owners = np.searchsorted([shard.first_row for shard in self._shards], rows, side="right") - 1
        for owner in np.unique(owners):
            shard, owned = self._shards[owner], owners == owner
            path, _ = self.file(shard, "ids.arrow")
            with refusing_damage(path), pa.memory_map(str(path)) as file:
                column = pa.ipc.open_file(file).get_batch(0).column(0)
                ids[owned] = column.take(pa.array(rows[owned] - shard.first_row)).to_pylist()
        return ids.tolist()

    def count_range(self, selection: Selection) -> tuple[int, int]:
        """The least and the greatest number of generated texts of a passage."""
        least, greatest = [], []
        for shard in self._shards:
            counts_N = ShardBlock(shard.first_row, shard.num_rows, self, shard).counts(selection)
            least.append(int(counts_N.min()))
            greatest.append(int(counts_N.max()))
        return min(least), max(greatest)

    def has_unit_norms(self, sample: int = 1024) -> bool:
        """True if the first `sample` passages have norm 1, up to the rounding of float16."""
        norms_N = np.linalg.norm(next(self.blocks(sample)).passages().astype(np.float32), axis=1)
        return bool((np.abs(norms_N - 1) < 5e-3).all())

    def are_equal(self, sample: int = 1024) -> bool:
        """True if the first `sample` passages have the same vector, to the rounding of float16, and there are two at least."""
        vectors_ND = next(self.blocks(sample)).passages().astype(np.float32)
        return len(vectors_ND) > 1 and np.allclose(vectors_ND, vectors_ND[0], rtol=2e-3, atol=1e-6)

    def file(self, shard: _Shard, name: str) -> tuple[Path, int]:
        """A file of a shard, and where the values of its array begin."""
        found = self._opened.get((shard.number, name))
        if found is None:
            path = self.ledger.file(shard.number, name)
            found = self._opened[shard.number, name] = path, self._start_of_values(shard, path) if path.suffix == ".npy" else 0
        return found

    def _start_of_values(self, shard: _Shard, path: Path) -> int:
        rows, dimension, groups = shard.num_rows, self.layout.dimension, len(self.layout.groups)
        wanted = {
            "passages.npy": ("float16", (rows, dimension)),
            "companions.npy": ("float16", (groups, rows, dimension)),
            "counts.npy": ("uint16", (groups, rows)),
        }
        dtype, shape = wanted[path.name]
        with path.open("rb") as file:
            found, found_dtype, start = _header(file.read(_HEADER_BYTES), path, len(shape))
        num_bytes = start + np.dtype(dtype).itemsize * math.prod(shape)
        with refusing_damage(path):
            if (found_dtype, found) != (dtype, shape) or path.stat().st_size != num_bytes:
                raise ValueError(f"it must hold {shape} numbers of {dtype}, got {found} of {found_dtype}")
        return start


def _header(start: bytes, path: Path, axes: int) -> tuple[tuple[int, ...], str, int]:
    """The shape and the type of an array, and where its values begin, from the first bytes of its file."""
    file = BytesIO(start)
    with refusing_damage(path):
        np.lib.format.read_magic(file)  # version 1.0, as numpy writes for such arrays
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != axes or by_columns:
            raise ValueError(f"it must have {axes} axes in the order of C, got {len(shape)}")
    return shape, str(dtype), file.tell()
