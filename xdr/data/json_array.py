"""The elements of a JSON array of any size, one at a time: DPR's training files are arrays of several gigabytes."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from xdr.data.lines import open_binary, require_file
from xdr.data.rows import Row
from xdr.errors import DataError, shown

_CHUNK_BYTES = 1 << 20
_LARGEST_ELEMENT = 1 << 26


def json_array_rows(path: str | Path) -> Iterator[Row]:
    """Objects with the line that each begins on. Memory is one element and one chunk."""
    path = require_file(path)
    buffer = _Buffer(path)
    if buffer.skip_blanks() != "[":
        raise buffer.error(f"a JSON array is wanted, and {shown(buffer.text[:20])} came")
    buffer.drop(1)
    if buffer.skip_blanks() == "]":
        raise buffer.error("the array is empty")
    while True:
        buffer.skip_blanks()
        line = buffer.line
        element = buffer.take_element()
        if not isinstance(element, dict):
            raise buffer.error(f"an object is wanted, and {shown(element)} came")
        yield Row(element, path, line)
        separator = buffer.skip_blanks()
        buffer.drop(1)
        if separator == "]":
            break
        if separator != ",":
            raise buffer.error(f"',' or ']' is wanted, and {separator or 'the end of the file'} came")
    if rest := buffer.skip_blanks():
        raise buffer.error(f"the array has ended, and {shown(rest)} came")


class _Buffer:
    """The part of the file that is being looked at."""

    def __init__(self, path: Path) -> None:
        self.path, self.text, self.line, self.at_end = path, "", 1, False
        self._file = open_binary(path)
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._parse = json.JSONDecoder().raw_decode

    def skip_blanks(self) -> str:
        """Moves to the next character that is not blank and returns it; '' at the end of the file."""
        while True:
            self.drop(len(self.text) - len(self.text.lstrip(" \t\r\n")))
            if self.text or not self.read_more():
                return self.text[:1]

    def drop(self, length: int) -> None:
        self.line += self.text.count("\n", 0, length)
        self.text = self.text[length:]

    def read_more(self) -> bool:
        """False once the file has ended."""
        if self.at_end:
            return False
        try:
            chunk = self._file.read(max(_CHUNK_BYTES, len(self.text)))  # doubling: an element is parsed few times
            self.at_end = not chunk
            self.text += self._utf8.decode(chunk, final=self.at_end)
        except UnicodeDecodeError as error:
            raise self.error("there are bytes that are not UTF-8", "Convert the file to UTF-8") from error
        except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
            raise self.error(f"the file is truncated or damaged ({error})", "Fetch it again") from error
        return True

    def take_element(self) -> object:
        while True:
            try:
                element, end = self._parse(self.text)
            except RecursionError:
                raise self.error("the JSON is nested too deeply") from None
            except ValueError as problem:  # malformed, or cut off by the end of the chunk
                if len(self.text) > _LARGEST_ELEMENT or not self.read_more():
                    remedy = "Is the file whole? Compare its checksum with the publisher's"
                    raise self.error(f"an element is not JSON: {problem}", remedy) from None
                continue
            if end == len(self.text) and self.read_more():
                continue  # a number may go on in the next chunk
            self.drop(end)
            return element

    def error(self, problem: str, remedy: str = "") -> DataError:
        return DataError(problem, file=self.path, line=self.line, remedy=remedy)
