"""Passages as `id <tab> text <tab> title` with that header: enwiki_20190201_w100 (XOR-TyDi), psgs_w100 (DPR)."""

from collections.abc import Iterator
from pathlib import Path

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems, parse_each
from xdr.errors import DataError, shown
from xdr.text.records import Passage

_HEADER = ["id", "text", "title"]


def read_passage_tsv(path: str | Path, problems: Problems, language: str = "en") -> Iterator[Passage]:
    path = require_file(path)
    lines = read_lines(path, problems)
    number, header = next(lines, (1, ""))
    if header.lower().split("\t") != _HEADER:
        problem = f"the first line must be id <tab> text <tab> title, got {shown(header)}"
        raise DataError(problem, file=path, line=number)

    def parse(numbered: tuple[int, str]) -> Passage:
        number, line = numbered
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(f"a line must have three fields separated by tabs, got {len(fields)}", file=path, line=number)
        passage_id, text, title = fields[0].strip(), _unquoted(fields[1]), _unquoted(fields[2])
        if not text or text.isspace():
            raise DataError("must not be empty", file=path, line=number, field="text")
        if len(passage_id.split()) != 1:
            raise DataError(f"must have no blanks, got {shown(passage_id)}", file=path, line=number, field="id")
        if "\0" in line:
            raise DataError("a line must have no NUL", file=path, line=number)
        return Passage(passage_id, title, text, language)

    yield from parse_each(lines, parse, problems, str(path))


def _unquoted(field: str) -> str:
    """psgs_w100 quotes like CSV, with inner quotes doubled. A field that merely begins with a quote stays as it is: a CSV
    reader would take the following lines as part of it."""
    if len(field) < 2 or field[0] != '"' or field[-1] != '"':
        return field
    inner = field[1:-1]
    return field if '"' in inner.replace('""', "") else inner.replace('""', '"')
