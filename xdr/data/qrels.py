"""TREC judgements: `query_id 0 passage_id relevance`, parted by blanks or tabs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems, parse_each
from xdr.errors import DataError, shown
from xdr.text.records import Judgement


def read_qrels(path: str | Path, problems: Problems) -> Iterator[Judgement]:
    path = require_file(path)

    def parse(numbered: tuple[int, str]) -> Judgement:
        number, line = numbered
        fields = line.split()
        if len(fields) != 4:
            raise DataError(f"four fields are wanted, and {len(fields)} came: {shown(line)}", file=path, line=number)
        if not fields[3].removeprefix("-").isdecimal() or len(fields[3]) > 9:
            problem = f"a whole number is wanted, and {shown(fields[3])} came"
            raise DataError(problem, file=path, line=number, field="relevance")
        return Judgement(fields[0], fields[2], int(fields[3]))

    yield from parse_each(read_lines(path, problems), parse, problems, str(path))


def write_qrels(judgements: Iterable[Judgement]) -> str:
    return "".join(f"{j.query_id}\t0\t{j.passage_id}\t{j.relevance}\n" for j in judgements)
