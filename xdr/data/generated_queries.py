"""Generated queries as xQG published them: `docid`, and `generated_queries: {lang: [text, ...]}`."""

from collections.abc import Iterator
from pathlib import Path

from xdr.data.problems import Problems
from xdr.data.rows import Row, read_rows
from xdr.text.records import GeneratedTexts


def read_generated_queries(source: str | Path, problems: Problems) -> Iterator[GeneratedTexts]:
    """A language may have no query, and a passage no language."""
    return read_rows(source, problems, parse_generated_queries)


def parse_generated_queries(row: Row) -> GeneratedTexts:
    by_language = row.object("generated_queries")
    queries: dict[str, tuple[str, ...]] = {}
    for spelling in by_language.fields():
        code = by_language.code_of(spelling, spelling)
        if code in queries:
            raise by_language.error(f"languages must be named once each, got '{code}' twice", spelling)
        queries[code] = by_language.texts(spelling)
    return GeneratedTexts(row.identifier("docid"), queries)
