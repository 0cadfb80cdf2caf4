"""TREC judgements: `query_id 0 passage_id relevance`, separated by blanks or tabs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems, parse_each
from xdr.errors import DataError, shown
from xdr.text.records import Judgement

Record = TypeVar("Record")


def read_qrels(path: str | Path, problems: Problems) -> Iterator[Judgement]:
    def parse(fields: list[str]) -> Judgement:
        return Judgement(fields[0], fields[2], relevance_of(fields[3]))

    return read_fields(path, problems, 4, parse)


def relevance_of(field: str) -> int:
    if not field.removeprefix("-").isdecimal() or len(field) > 9:
        raise ValueError(f"relevance must be a whole number, got {shown(field)}")
    return int(field)


def read_fields(
    path: str | Path, problems: Problems, num_fields: int, parse: Callable[[list[str]], Record]
) -> Iterator[Record]:
    """What `parse` makes of the fields of each line. Its ValueErrors get the file and the line."""
    path = require_file(path)

    def parse_line(numbered: tuple[int, str]) -> Record:
        number, line = numbered
        fields = line.split()
        try:
            if len(fields) != num_fields:
                raise ValueError(f"a line must have {num_fields} fields, got {len(fields)}: {shown(line)}")
            return parse(fields)
        except ValueError as error:
            raise DataError(str(error), file=path, line=number) from None

    return parse_each(read_lines(path, problems), parse_line, problems, str(path))
