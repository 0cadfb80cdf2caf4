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
        raise DataError(
            f"the header is {shown(header)}",
            file=path,
            line=number,
            remedy="The first line must be: id <tab> text <tab> title",
        )

    def parse(numbered: tuple[int, str]) -> Passage:
        number, line = numbered
        fields = line.split("\t")
        if len(fields) != 3:
            problem = f"three fields parted by tabs are wanted, and {len(fields)} came"
            raise DataError(problem, file=path, line=number)
        passage_id, text, title = fields
        text = _unquoted(text)
        if not text or text.isspace():
            raise DataError("the text is empty", file=path, line=number, field="text")
        if len(passage_id.split()) != 1 or "\0" in line:
            problem = "an id without blanks is wanted, and no NUL in the line"
            raise DataError(problem, file=path, line=number, field="id")
        return Passage(passage_id.strip(), _unquoted(title), text, language)

    yield from parse_each(lines, parse, problems, str(path))


def _unquoted(field: str) -> str:
    """psgs_w100 quotes as CSV does, with inner quotes doubled. A field that only happens to begin with a quote is left:
    a CSV reader would swallow the lines after it."""
    if len(field) < 2 or field[0] != '"' or field[-1] != '"':
        return field
    inner = field[1:-1]
    return field if '"' in inner.replace('""', "") else inner.replace('""', '"')
