"""Vectors of a collection on disk: its passages, and beside each passage the sums of its companions' vectors.

    FOLDER/shard-00007/passages.npy      float16 (N, D)
    FOLDER/shard-00007/companions.npy    float16 (G, N, D), a sum for every group
    FOLDER/shard-00007/counts.npy        uint16 (G, N), how many vectors are in each sum
    FOLDER/shard-00007/ids.arrow         the ids of the passages

Companions are the passage's generated queries. The shards are those of a ledger; rows are numbered through all of them, in
order. N rows, D dimensions, G groups. A collection is read in blocks; only the block at hand is mapped, so that what it weighs
in memory does not grow with the collection.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xdr.errors import ArtefactError, DataError, UserError, shown
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger

KIND = "embeddings"
Keep: TypeAlias = Literal["none", "total", "language", "count"]
Rows: TypeAlias = slice | NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Selection:
    """The groups whose sums, added up, are the companion vector that is wanted."""

    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which sums are kept. `total`: one. `language`: one a language. `count`: for every language and every c up to `count`, the
    sum of the passage's *first* c queries in that language (of all, where it has fewer), so that any number of queries in any
    languages is one group a language, and costs no more to read than all of them."""

    dimension: int
    keep: Keep = "none"
    languages: tuple[str, ...] = ()
    count: int = 0

    @property
    def groups(self) -> tuple[str, ...]:
        if self.keep == "count":
            return tuple(f"{language}/{c}" for language in self.languages for c in range(1, self.count + 1))
        return {"none": (), "total": ("all",), "language": self.languages}[self.keep]

    @property
    def bytes_per_row(self) -> int:
        """On disk; the ids come on top."""
        groups = len(self.groups)
        return 2 * self.dimension * (1 + groups) + 2 * groups

    def groups_of(self, language: str, position: int) -> range:
        """The groups that the passage's query number `position`, from 0, in `language` is added to."""
        if self.keep == "total":
            return range(1)
        index = self.languages.index(language)
        if self.keep == "language":
            return range(index, index + 1)
        return range(index * self.count + position, (index + 1) * self.count)

    def select(self, languages: Sequence[str] | None = None, count: int | None = None) -> Selection:
        """The companions in `languages` (default: all), the first `count` in each (default: all)."""
        wanted = tuple(self.languages if languages is None else languages)
        if self.keep == "none":
            raise UserError("these embeddings hold passages alone; encode with augmentation.keep=total, language or count")
        if languages is not None and (self.keep == "total" or not set(wanted) <= set(self.languages)):
            raise UserError(
                f"companions in {shown(list(wanted))} were asked for, and the embeddings keep {self._kept()}. "
                "Encode with augmentation.keep=language and these languages"
            )
        if len(set(wanted)) < len(wanted) or (languages is not None and not wanted):
            raise UserError(f"a selection names each language once, and at least one; {shown(list(wanted))} came")
        if count is not None and (self.keep != "count" or not 1 <= count <= self.count):
            raise UserError(
                f"the first {count} companions were asked for, and the embeddings keep {self._kept()}. "
                "Encode with augmentation.keep=count, and that many at least"
            )
        if self.keep == "total":
            return Selection((0,))
        first = [self.languages.index(language) for language in wanted]
        if self.keep == "language":
            return Selection(tuple(first))
        return Selection(tuple(index * self.count + (count or self.count) - 1 for index in first))

    def _kept(self) -> str:
        if self.keep == "total":
            return "one sum of all"
        return f"{', '.join(self.languages)}" + (
            f", up to {self.count} of each" if self.keep == "count" else ", all in one sum"
        )


def create_embeddings(folder: Path, num_shards: int, layout: Layout, made_by: Mapping[str, Json]) -> ShardLedger:
    """The ledger to write shards into. `made_by` says what decides the vectors: the fingerprints of encoder, collection and
    generated queries, and lengths; the layout joins it."""
    layout_json: dict[str, Json] = {
        "dimension": layout.dimension,
        "keep": layout.keep,
        "languages": list(layout.languages),
        "count": layout.count,
    }
    return ShardLedger.create(folder, KIND, num_shards, {**made_by, "layout": layout_json})


class ShardWriter:
    """Takes a shard's vectors in any order of rows. Get one from `writing_shard`."""

    def __init__(self, folder: Path, layout: Layout, passage_ids: Sequence[str]) -> None:
        num_rows, groups = len(passage_ids), len(layout.groups)
        assert num_rows, "a shard has at least one row"
        self._ids = passage_ids
        self._written = np.zeros(num_rows, bool)
        self._passages_ND = _new_array(folder / "passages.npy", np.float16, (num_rows, layout.dimension))
        self._has_companions = groups > 0
        if groups:
            self._companions_GND = _new_array(folder / "companions.npy", np.float16, (groups, num_rows, layout.dimension))
            self._counts_GN = _new_array(folder / "counts.npy", np.uint16, (groups, num_rows))
        ids = pa.record_batch([pa.array(passage_ids, pa.string())], names=["id"])
        with pa.OSFile(str(folder / "ids.arrow"), "wb") as sink, pa.ipc.new_file(sink, ids.schema) as writer:
            writer.write_batch(ids)

    def put(
        self,
        rows: Rows,
        passages_ND: NDArray[np.floating],
        companions_GND: NDArray[np.floating] | None = None,
        counts_GN: NDArray[np.integer] | None = None,
    ) -> None:
        """Rows of the shard, from 0. A value that is no number, or too large for float16, is refused with its passage's id."""
        assert not self._written[rows].any(), "a row is written once"
        assert (companions_GND is None) == (counts_GN is None) != self._has_companions
        self._passages_ND[rows] = self._halved(passages_ND, rows, "the passage")
        if companions_GND is not None and counts_GN is not None:
            for group, companions_ND in enumerate(companions_GND):
                self._companions_GND[group, rows] = self._halved(companions_ND, rows, "the companions of")
            self._counts_GN[:, rows] = counts_GN
        self._written[rows] = True

    def _halved(self, vectors_ND: NDArray[np.floating], rows: Rows, of: str) -> NDArray[np.float16]:
        with np.errstate(over="ignore"):
            halved_ND = vectors_ND.astype(np.float16)
        fine_N = np.isfinite(halved_ND).all(axis=1)
        if not fine_N.all():
            bad = np.arange(len(self._ids))[rows][~fine_N]
            values = vectors_ND[int(np.argmin(fine_N))]
            found = "NaN or infinity" if not np.isfinite(values).all() else f"{np.abs(values).max():g}, too large for float16"
            raise DataError(
                f"the vector of {of} '{self._ids[bad[0]]}' holds {found} ({len(bad):,} such in this batch)",
                remedy="Is the encoder sound in the precision it runs in? Try fp32",
            )
        return halved_ND

    def finish(self) -> None:
        assert self._written.all(), f"{int((~self._written).sum()):,} rows were never written"
        self._passages_ND.flush()
        if self._has_companions:
            self._companions_GND.flush()
            self._counts_GN.flush()


@contextmanager
def writing_shard(ledger: ShardLedger, shard: int, passage_ids: Sequence[str]) -> Iterator[ShardWriter]:
    """A shard that joins the ledger when the block ends with every row written, and not at all if it fails."""
    with ledger.writing(shard) as folder:
        writer = ShardWriter(folder, _layout(ledger), passage_ids)
        yield writer
        writer.finish()


@dataclass(frozen=True, slots=True)
class _Shard:
    folder: Path
    first_row: int
    num_rows: int
    offsets: Mapping[str, int]
    """Where the values begin in each of the arrays' files."""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring rows of one shard. Nothing is mapped until asked for, and nothing stays mapped once dropped."""

    first_row: int
    num_rows: int
    layout: Layout
    _shard: _Shard

    @property
    def passages(self) -> NDArray[np.float16]:
        return self._map("passages.npy", np.float16, 0, self.layout.dimension)

    def companions(self, selection: Selection, rows: Rows = slice(None)) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """For some rows of the block, the sum over the selected groups, and how many vectors are in it."""
        sums_ND = counts_N = None
        for group in selection.groups:
            group_ND = self._map("companions.npy", np.float16, group, self.layout.dimension)[rows].astype(np.float32)
            group_N = self._map("counts.npy", np.uint16, group, 1)[:, 0][rows].astype(np.int64)
            sums_ND = group_ND if sums_ND is None else np.add(sums_ND, group_ND, out=sums_ND)
            counts_N = group_N if counts_N is None else counts_N + group_N
        assert sums_ND is not None and counts_N is not None
        return sums_ND, counts_N

    def _map(self, name: str, dtype: type[np.generic], group: int, width: int) -> NDArray:
        """Copy on write: torch wants arrays that could be written to; the file is never changed."""
        row = group * self._shard.num_rows + self.first_row - self._shard.first_row
        offset = self._shard.offsets[name] + row * width * np.dtype(dtype).itemsize
        return np.memmap(self._shard.folder / name, dtype, "c", offset, (self.num_rows, width))


@dataclass(frozen=True, slots=True)
class EmbeddingStore:
    """A complete set of shards."""

    ledger: ShardLedger
    layout: Layout
    _shards: tuple[_Shard, ...]

    @classmethod
    def open(cls, folder: Path, made_by: Mapping[str, Json] | None = None, *, checksum: bool = True) -> "EmbeddingStore":
        """Refused unless every shard is whole, and the vectors were made by what `made_by` says, key by key. The checksums
        take about a second a gigabyte; `checksum=False` trusts the sizes, for a second look."""
        ledger = ShardLedger.open(folder, KIND)
        _refuse_unless_made_by(ledger, made_by or {})
        ledger.require_complete()
        layout = _layout(ledger)
        folders = [ledger.shard(shard, checksum=checksum) for shard in range(ledger.num_shards)]
        headers = [_read_headers(shard, layout) for shard in folders]
        first_rows = accumulate((num_rows for num_rows, _ in headers), initial=0)
        shards = (_Shard(shard, first, *header) for shard, first, header in zip(folders, first_rows, headers, strict=False))
        return cls(ledger, layout, tuple(shards))

    @property
    def num_shards(self) -> int:
        return len(self._shards)

    def __len__(self) -> int:
        return self.num_rows(range(self.num_shards))

    def num_rows(self, shards: Sequence[int]) -> int:
        return sum(self._shards[shard].num_rows for shard in shards)

    def blocks(self, num_rows: int, shards: Sequence[int] | None = None) -> Iterator[Block]:
        """Blocks of at most `num_rows` rows, in order; only of some shards where these are named."""
        for number in range(self.num_shards) if shards is None else shards:
            shard = self._shards[number]
            for start in range(0, shard.num_rows, num_rows):
                yield Block(shard.first_row + start, min(num_rows, shard.num_rows - start), self.layout, shard)

    def ids(self, rows: NDArray[np.integer]) -> list[str]:
        """The passage ids of rows, as many as there are rows, in their order."""
        found = np.empty(len(rows), object)
        owners = np.searchsorted([shard.first_row for shard in self._shards], rows, side="right") - 1
        for owner in np.unique(owners):
            shard, mine = self._shards[owner], owners == owner
            with pa.memory_map(str(shard.folder / "ids.arrow")) as file:
                column = pa.ipc.open_file(file).get_batch(0).column(0)
                found[mine] = column.take(pa.array(rows[mine] - shard.first_row)).to_pylist()
        return found.tolist()

    def count_range(self, selection: Selection) -> tuple[int, int]:
        """The least and the greatest number of companions of a passage."""
        least, greatest = [], []
        for shard in self._shards:
            counts_GN = np.load(shard.folder / "counts.npy", mmap_mode="r", allow_pickle=False)
            counts_N = counts_GN[list(selection.groups)].sum(axis=0, dtype=np.int64)
            least.append(int(counts_N.min()))
            greatest.append(int(counts_N.max()))
        return min(least), max(greatest)

    def has_unit_norms(self, sample: int = 1024) -> bool:
        """Do passages have norm 1, up to float16's rounding? Judged by the first rows."""
        norms_N = np.linalg.norm(next(self.blocks(sample)).passages.astype(np.float32), axis=1)
        return bool((np.abs(norms_N - 1) < 5e-3).all())


def _layout(ledger: ShardLedger) -> Layout:
    layout = ledger.made_by.get("layout")
    assert isinstance(layout, dict), "create_embeddings makes the ledger"
    return Layout(layout["dimension"], layout["keep"], tuple(layout["languages"]), layout["count"])


def _refuse_unless_made_by(ledger: ShardLedger, wanted: Mapping[str, Json]) -> None:
    differing = [key for key in wanted if fingerprint(wanted[key]) != fingerprint(ledger.made_by.get(key))]
    if differing:
        raise ArtefactError(
            f"the embeddings in {ledger.folder} were made by something else: "
            + "; ".join(f"{key} was {shown(ledger.made_by.get(key))} and is now {shown(wanted[key])}" for key in differing)
            + ". Choose another folder, or encode again"
        )


def _read_headers(folder: Path, layout: Layout) -> tuple[int, dict[str, int]]:
    """The number of rows, and where the values of each array begin."""
    names = ["passages.npy", "companions.npy", "counts.npy"] if layout.groups else ["passages.npy"]
    arrays = {name: np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names}
    rows, groups = len(arrays["passages.npy"]), len(layout.groups)
    wanted = {
        "passages.npy": ("float16", (rows, layout.dimension)),
        "companions.npy": ("float16", (groups, rows, layout.dimension)),
        "counts.npy": ("uint16", (groups, rows)),
    }
    for name, array in arrays.items():
        if (str(array.dtype), array.shape) != wanted[name]:
            raise ArtefactError(
                f"{folder / name} holds {array.dtype} {array.shape}, and the manifest says {wanted[name]}; remove {folder}"
            )
    return rows, {name: int(array.offset) for name, array in arrays.items()}


def _new_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """A mapped file whose space is taken at once: a full disk is then an error here, not a crash at some later write."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
