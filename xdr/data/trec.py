"""TREC's files: qrels (`query_id 0 passage_id relevance`) and runs (`query_id Q0 passage_id rank score tag`)."""

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
        if not fields[3].removeprefix("-").isdecimal() or len(fields[3]) > 9:
            raise ValueError(f"relevance must be a whole number, got {shown(fields[3])}")
        return Judgement(fields[0], fields[2], int(fields[3]))

    return _read(path, problems, 4, parse)


def read_run(path: str | Path, problems: Problems) -> dict[str, list[str]]:
    """query id -> passage ids, the best score first; ties by passage id."""

    def parse(fields: list[str]) -> tuple[str, float, str]:
        try:
            return fields[0], -float(fields[4]), fields[2]
        except ValueError:
            raise ValueError(f"score must be a number, got {shown(fields[4])}") from None

    scored: dict[str, list[tuple[float, str]]] = {}
    for query_id, score, passage_id in _read(path, problems, 6, parse):
        scored.setdefault(query_id, []).append((score, passage_id))
    return {query_id: [passage_id for _, passage_id in sorted(pairs)] for query_id, pairs in scored.items()}


def _read(path: str | Path, problems: Problems, num_fields: int, parse: Callable[[list[str]], Record]) -> Iterator[Record]:
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
