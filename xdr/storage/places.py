"""Where data is read from: a path of this machine, or an address such as `s3://bucket/folder`, read without a copy."""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from io import SEEK_SET, BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from xdr.storage.remote import is_remote, reaching

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def place(path: str) -> Path:
    """The path, or an object that is used as one: it has `open`, `exists`, `glob` and so on."""
    return _afar(path) if is_remote(path) else Path(path).expanduser()


def open_place(path: Path) -> BinaryIO:
    """A file to read bytes from, which is fetched in ranges if it is remote."""
    if isinstance(path, Path):
        return path.open("rb")
    return BufferedReader(_Afar(str(path), path.open("rb")))


def read_ranges(path: Path, starts: Sequence[int], num_bytes: int) -> list[bytes]:
    """So many bytes from each start, fewer at the end of the file. Of a remote file nothing else is read, with requests that
    overlap in time."""
    if isinstance(path, Path):
        with path.open("rb") as file:
            return [os.pread(file.fileno(), num_bytes, start) for start in starts]
    with reaching(str(path)):
        ends = [start + num_bytes for start in starts]
        return list(map(bytes, path.fs.cat_ranges([path.path] * len(starts), list(starts), ends, on_error="raise")))


class _Afar(RawIOBase):
    """A remote file. A connection that breaks while it is read is one sentence, too."""

    def __init__(self, address: str, file: BinaryIO) -> None:
        self._address, self._file = address, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        with reaching(self._address):
            content = self._file.read(len(view))
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


@lru_cache
def _afar(address: str) -> Path:
    with reaching(address):
        from upath import UPath

        found = cast(Path, UPath(address))
        with suppress(FileNotFoundError):  # whoever reads it names the file that is missing
            found.stat()
    return found
