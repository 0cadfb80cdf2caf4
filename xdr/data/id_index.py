"""An index from passage ids to rows: hashes in ascending order on disk, for binary search."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdr.errors import ArtefactError
from xdr.storage.fingerprint import checksum_file
from xdr.storage.remote import remedy

_SORTED_AT_ONCE = 1 << 22
"""Hashes in memory: 4 million take about 100 MB while they are sorted."""


class Twin(NamedTuple):
    """Two rows with the same id."""

    passage_id: str
    first_row: int
    second_row: int


def hash_ids(passage_ids: Sequence[str]) -> NDArray[np.uint64]:
    blake2b = hashlib.blake2b
    digests = b"".join([blake2b(passage_id.encode(), digest_size=8).digest() for passage_id in passage_ids])
    return np.frombuffer(digests, dtype="<u8")


class IdIndex:
    """The files that `write_id_index` left in a folder. Each is compared with its checksum when an id is first looked up: 18
    million ids take half a second."""

    def __init__(self, folder: Path, checksums: Mapping[str, str]) -> None:
        self._folder, self._checksums = folder, checksums

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        return self._opened("id_hashes.npy")

    @cached_property
    def _rows(self) -> NDArray[np.uint32]:
        return self._opened("id_rows.npy")

    def _opened(self, name: str) -> NDArray:
        path = self._folder / name
        if checksum_file(path) != self._checksums[name]:
            raise ArtefactError(f"{path} is damaged: its SHA-256 differs. {remedy(self._folder)}")
        values: NDArray = np.load(path, mmap_mode="r", allow_pickle=False)
        return values

    def verify(self) -> None:
        for name in self._checksums:
            self._opened(name)

    def find(self, passage_ids: Sequence[str], id_of_row: Callable[[int], str]) -> list[int | None]:
        """The row of each id, None if it is not there. `id_of_row` decides between ids of the same hash."""
        hashes = hash_ids(passage_ids)
        return [
            self._match(int(place), target, passage_id, id_of_row)
            for place, target, passage_id in zip(np.searchsorted(self._hashes, hashes), hashes, passage_ids, strict=True)
        ]

    def _match(self, place: int, target: np.uint64, passage_id: str, id_of_row: Callable[[int], str]) -> int | None:
        while place < len(self._hashes) and self._hashes[place] == target:
            row = int(self._rows[place])
            if id_of_row(row) == passage_id:
                return row
            place += 1
        return None


def write_id_index(folder: Path, hashes_file: Path, id_of_row: Callable[[int], str]) -> Twin | None:
    """Sorts the hashes in `hashes_file`, which are in the order of the rows. Each part of their range is sorted by itself, so
    memory does not grow with their number. Returns an id that two rows share, or None."""
    num_rows = hashes_file.stat().st_size // 8
    num_parts = -(-num_rows // (_SORTED_AT_ONCE // 2))  # hashes are spread evenly: a part is about half full
    twin = None
    with (folder / "id_hashes.npy").open("wb") as sorted_hashes, (folder / "id_rows.npy").open("wb") as sorted_rows:
        _write_header(sorted_hashes, np.dtype(np.uint64), num_rows)
        _write_header(sorted_rows, np.dtype(np.uint32), num_rows)
        for part in range(num_parts):
            low, high = (part << 64) // num_parts, ((part + 1) << 64) // num_parts
            hashes, rows = _between(hashes_file, low, high - 1)
            order = np.argsort(hashes, kind="stable")
            hashes, rows = hashes[order], rows[order]
            twin = twin or _twin(hashes, rows, id_of_row)
            hashes.tofile(sorted_hashes)
            rows.tofile(sorted_rows)
    return twin


def _write_header(file: BinaryIO, dtype: np.dtype, length: int) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


def _between(hashes_file: Path, low: int, high: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """The hashes from `low` to `high` and their rows."""
    all_hashes, all_rows, first_row = [], [], 0
    with hashes_file.open("rb") as file:
        while len(chunk := np.fromfile(file, np.uint64, _SORTED_AT_ONCE)):
            inside = np.flatnonzero((chunk >= np.uint64(low)) & (chunk <= np.uint64(high)))
            all_hashes.append(chunk[inside])
            all_rows.append((inside + first_row).astype(np.uint32))
            first_row += len(chunk)
    return np.concatenate(all_hashes), np.concatenate(all_rows)


def _twin(hashes: NDArray[np.uint64], rows: NDArray[np.uint32], id_of_row: Callable[[int], str]) -> Twin | None:
    """Equal hashes are neighbours; nearly always their ids are equal."""
    for place in np.flatnonzero(hashes[1:] == hashes[:-1]):
        first, second = int(rows[place]), int(rows[place + 1])
        if (passage_id := id_of_row(first)) == id_of_row(second):
            return Twin(passage_id, first, second)
    return None
