"""Generated questions as xQG published them: `docid`, and `generated_queries: {lang: [text, ...]}`."""

from collections.abc import Iterator
from pathlib import Path

from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, json_rows
from xdr.text.languages import find_language
from xdr.text.records import GeneratedTexts


def read_generated_queries(source: str | Path, problems: Problems) -> Iterator[GeneratedTexts]:
    """A language may have no question, and a passage no language: what was not generated is not made up."""
    yield from parse_each(json_rows(source, problems), _parse, problems, str(source))


def _parse(row: Row) -> GeneratedTexts:
    by_language = row.object("generated_queries")
    queries: dict[str, tuple[str, ...]] = {}
    for spelling in by_language.fields():
        code = find_language_in(by_language, spelling)
        if code in queries:
            raise by_language.error("the language comes twice", spelling)
        queries[code] = by_language.texts(spelling)
    return GeneratedTexts(row.identifier("docid"), queries)


def find_language_in(row: Row, spelling: str) -> str:
    try:
        return find_language(spelling).code
    except ValueError as error:
        raise row.error(str(error), spelling) from None
