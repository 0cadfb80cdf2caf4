"""Tables: lines of fields separated by tabs, without quotes. Errors name file, line and column."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row
from xdr.errors import DataError

Record = TypeVar("Record")


def read_table(
    path: str | Path, problems: Problems, columns: Sequence[str] | None, parse: Callable[[Row], Record | None]
) -> Iterator[Record]:
    """What `parse` makes of each line. `columns` are the names of the columns; None: the first line names them."""
    return parse_each(_rows(require_file(path), problems, columns), parse, problems, str(path))


def _rows(path: Path, problems: Problems, columns: Sequence[str] | None) -> Iterator[Row]:
    for number, line in read_lines(path, problems):
        fields = line.split("\t")
        if columns is None:
            columns = fields
        elif len(fields) != len(columns):
            names = ", ".join(columns[:5]) + (", ..." if len(columns) > 5 else "")
            problem = f"a line must have {len(columns)} fields separated by tabs ({names}), got {len(fields)}"
            problems.skip(DataError(problem, file=path, line=number))
        else:
            yield Row(dict(zip(columns, fields, strict=True)), path, number)
