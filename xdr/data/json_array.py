"""The elements of a JSON array of any size, one at a time: DPR's training files are arrays of several gigabytes."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import ijson

from xdr.data.lines import open_binary, require_file
from xdr.data.rows import Row
from xdr.errors import DataError, first_line, shown

_CHUNK_BYTES = 1 << 14
_LARGEST_ELEMENT = 1 << 26
_DEEPEST = 2_000
"""Open brackets. ijson keeps the path of each of them: 100,000 would take 25 GB."""


def json_array_rows(path: str | Path) -> Iterator[Row]:
    """The objects of the array. Their fields are named with the number of the element: `[0].question`."""
    path = require_file(path)
    number = -1
    with open_binary(path) as file:
        try:
            stream = _Stream(file, path)
            for number, element in enumerate(ijson.items(stream, "item", use_float=True, buf_size=_CHUNK_BYTES)):
                if not isinstance(element, dict):
                    raise DataError(f"an element must be a JSON object, got {shown(element)}", file=path, field=f"[{number}]")
                stream.next_element()
                yield Row(element, path, None, f"[{number}].")
        except (ijson.JSONError, UnicodeDecodeError, OverflowError) as error:
            remedy = "Compare the file's checksum with the publisher's"
            raise DataError(f"not valid JSON: {_message(error)}", file=path, field=f"[{number + 1}]", remedy=remedy) from None
        except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
            problem = f"the file is truncated or damaged ({error})"
            raise DataError(problem, file=path, field=f"[{number + 1}]", remedy="Download it again") from None
    if number < 0:
        raise DataError("the array must have at least one element, got []", file=path)


def _message(error: Exception) -> str:
    """The first line of what ijson says, which is bytes where the file is not UTF-8."""
    said = error.args[0] if error.args else ""
    return first_line(ValueError(said.decode(errors="replace")) if isinstance(said, bytes) else error)


class _Stream:
    """What ijson reads. Refuses what is no array, or would not fit into memory."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._head = self._first_byte()
        if self._head != b"[":
            raise DataError(f"the file must hold a JSON array, got {shown(self._head + file.read(20))}", file=path)
        self.next_element()

    def next_element(self) -> None:
        self._num_open = self._num_bytes = 0

    def read(self, size: int) -> bytes:
        if not size:  # ijson asks whether these are bytes
            return b""
        chunk, self._head = self._head + self._file.read(size - len(self._head)), b""
        self._num_open += chunk.count(b"[") + chunk.count(b"{") - chunk.count(b"]") - chunk.count(b"}")
        self._num_bytes += len(chunk)
        if self._num_open > _DEEPEST:
            raise DataError("the JSON is nested too deeply", file=self._path)
        if self._num_bytes > _LARGEST_ELEMENT:
            raise DataError("an element is longer than 64 MiB", file=self._path)
        return chunk

    def _first_byte(self) -> bytes:
        """The first one that is neither blank nor a byte order mark."""
        while (byte := self._file.read(1)) and byte in b" \t\r\n\xef\xbb\xbf":
            pass
        return byte
