"""Queries in the wording that a teacher reads better. Needs no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems
from xdr.data.rows import Row, read_rows
from xdr.errors import DataError, UserError
from xdr.text.languages import find_language
from xdr.text.records import Query, TrainingExample


def translations_of(examples: Sequence[TrainingExample], source: str | None, problems: Problems) -> dict[str, Query]:
    """The queries of the examples in the language of their passages, by query id: those that are in it, and translations. A
    query without one is left out. `source` is None for the twins of the examples, a file of JSON lines (query_id, query, and
    lang where it is not English), or a folder of line-aligned files such as `fi-en/fi.txt` and `fi-en/en.txt`, whose lines are
    found by their words."""
    queries = {example.query.query_id: example.query for example in examples}
    if source is None:
        own = {example.query.query_id: twin for example in reversed(examples) for twin in example.twins if _fits(twin, example)}
    elif Path(source).expanduser().is_dir():
        own = _aligned(queries.values(), Path(source).expanduser(), problems)
    else:
        own = {query.query_id: query for query in read_rows(source, problems, _query)}
    if not own.keys() & queries.keys():
        remedy = "Is it of other data?" if source else "Give teacher.translations"
        raise UserError(f"{source or 'the data'} translates none of the {len(queries):,} training queries. {remedy}")
    own = {example.query.query_id: example.query for example in examples if _fits(example.query, example)} | own
    return {query_id: replace(own[query_id], query_id=query_id) for query_id in queries if query_id in own}


def _fits(query: Query, example: TrainingExample) -> bool:
    return query.language == example.positives[0].language


def _query(row: Row) -> Query:
    return Query(row.identifier("query_id"), row.text("query"), row.language("lang", "en"))


def _aligned(queries: Iterable[Query], folder: Path, problems: Problems) -> dict[str, Query]:
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in sorted(path for path in folder.glob("*-*") if path.is_dir()):
        language, _, other = pair.name.partition("-")
        texts, translations = (dict(read_lines(require_file(pair / f"{name}.txt"), problems)) for name in (language, other))
        if max(texts, default=0) != max(translations, default=0):
            problem = f"both files must end with the same line, got {max(texts, default=0)} and {max(translations, default=0)}"
            raise DataError(problem, file=pair)
        for number in texts.keys() & translations.keys():  # a blank line has no number
            pairs[find_language(language).code, texts[number].strip()] = find_language(other).code, translations[number].strip()
    known = {query.query_id: pairs.get((query.language, query.text.strip())) for query in queries}
    return {query_id: Query(query_id, pair[1], pair[0]) for query_id, pair in known.items() if pair}
