"""The batches of a store's `passages.arrow`. A column of a batch is compared with its checksum when it is first read."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from xdr.errors import ArtefactError, first_line
from xdr.storage.remote import remedy

BATCH_ROWS = 4096
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "title", "text", "language")])


class PassageBatches:
    """`checksums` are those of `checksums_of`, one for each batch."""

    def __init__(self, path: Path, checksums: Sequence[str]) -> None:
        self._path, self._checksums = path, checksums
        self._sound: set[tuple[int, int]] = set()
        self._views: dict[int, list[Any]] = {}
        with self._refusing_damage():
            self._mapped = pa.ipc.open_file(pa.memory_map(str(path)))
            self._file = pa.ipc.open_file(pa.OSFile(str(path)))
        if self._file.schema != SCHEMA or self._file.num_record_batches != len(checksums):
            raise self._damaged("its schema or number of batches is another")

    def __len__(self) -> int:
        return len(self._checksums)

    def read(self, batch: int) -> list[Any]:
        """All columns, read and not mapped: the mapped pages of a whole collection would count as this process's memory."""
        with self._refusing_damage():
            columns: list[Any] = self._file.get_batch(batch).columns
        for number, column in enumerate(columns):
            self._require_sound(batch, number, column)
        return columns

    def view(self, batch: int, name: str) -> Any:
        """One column in the mapped file."""
        number = SCHEMA.get_field_index(name)
        column = self._mapped_columns(batch)[number]
        self._require_sound(batch, number, column)
        return column

    def views(self, batch: int) -> list[Any]:
        """All columns in the mapped file. To compare them they are read, so that only pages that are used are mapped."""
        if not all((batch, number) in self._sound for number in range(len(SCHEMA))):
            self.read(batch)
        return self._mapped_columns(batch)

    def _mapped_columns(self, batch: int) -> list[Any]:
        """They are kept, since they take nearly no memory."""
        if batch not in self._views:
            with self._refusing_damage():
                self._views[batch] = self._mapped.get_batch(batch).columns
        return self._views[batch]

    def _require_sound(self, batch: int, number: int, column: Any) -> None:
        if (batch, number) in self._sound:
            return
        if _checksum(column) != self._checksums[batch].split()[number]:
            first = batch * BATCH_ROWS
            where = f"passages {first + 1:,} to {first + len(column):,}"
            raise self._damaged(f"{where} have another checksum in the column '{SCHEMA.names[number]}'")
        self._sound.add((batch, number))

    @contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(first_line(error)) from error

    def _damaged(self, problem: str) -> ArtefactError:
        return ArtefactError(f"{self._path} is damaged: {problem}. {remedy(self._path.parent)}")


def checksums_of(columns: Sequence[Any]) -> str:
    """Of the columns of a batch."""
    return " ".join(map(_checksum, columns))


def update_with_values(content: "hashlib._Hash", columns: Sequence[Any]) -> None:
    for column in columns:
        for values in _values(column):
            content.update(values)


def _checksum(column: Any) -> str:
    found = column.null_count  # there are none
    for values in _values(column):
        found = zlib.crc32(values, found)
    return f"{found:08x}"


def _values(column: Any) -> tuple[memoryview, memoryview]:
    """Where its texts end, and the texts. They do not depend on the version of Arrow's file format."""
    _, offsets, values = column.buffers()
    ends = memoryview(offsets)[: 4 * (len(column) + 1)]
    return ends, memoryview(values)[: int.from_bytes(ends[-4:], "little")] if values else memoryview(b"")
