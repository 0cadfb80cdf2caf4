"""Lines of a text file, plain or gzipped, with their numbers. Memory is one line, whatever the file."""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from xdr.data.problems import Problems
from xdr.errors import DataError, near_path
from xdr.storage.places import open_place, place

LONGEST_LINE = 1 << 26
"""64 MiB. A file with a longer line is of another format."""

_UTF8_BOM, _UTF16_BOMS, _GZIP = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff"), b"\x1f\x8b"


def require_file(path: str | Path) -> Path:
    """The path of a file that exists. The error names a file of a similar name."""
    path = place(path) if isinstance(path, str) else path
    if path.is_dir():
        raise DataError("must be a file, got a folder", file=path)
    if not path.exists():
        raise DataError("there is no such file", file=path, remedy=near_path(path))
    return path


def plain_or_gzipped(path: Path) -> Path:
    """The path, or with .gz where only that is there."""
    gzipped = path.with_name(path.name + ".gz")
    if path.exists() and gzipped.exists():
        raise DataError(f"there must be one file of the two, {path.name} or {gzipped.name}", file=path, remedy="Remove one")
    return gzipped if gzipped.exists() else path


def open_binary(path: Path) -> BinaryIO:
    """Decompresses a file that begins like gzip, whatever its name."""
    try:
        file = open_place(path)
    except OSError as error:
        raise DataError(f"the file cannot be opened: {error.strerror}", file=path) from error
    start = file.read(3)
    file.seek(0)
    if start[:2] in _UTF16_BOMS:
        file.close()
        raise DataError("the file is UTF-16", file=path, remedy="Convert it to UTF-8")
    if start[:2] == _GZIP:
        file.close()
        return cast(BinaryIO, gzip.open(path if isinstance(path, os.PathLike) else open_place(path), "rb"))
    if start == _UTF8_BOM:
        file.seek(3)
    return file


def read_lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(number, line without its ending) of every line that is not blank."""
    number = 0
    with open_binary(path) as file:
        try:
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    raise DataError("a line is longer than 64 MiB", file=path, line=number, remedy="Is it JSON *lines*?")
                if number == 1:
                    line = line.removeprefix(_UTF8_BOM)  # inside a gzip
                try:
                    text = line.decode("utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    problem = f"byte {error.start + 1} of the line is not UTF-8"
                    problems.skip(DataError(problem, file=path, line=number, remedy="Convert the file to UTF-8"))
                    continue
                if text and not text.isspace():
                    yield number, text
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            problem = f"the gzip file is truncated or damaged ({error})"
            raise DataError(problem, file=path, line=number + 1, remedy="Download it again") from error
        except OSError as error:
            raise DataError(f"reading failed: {error}", file=path, line=number + 1) from error
