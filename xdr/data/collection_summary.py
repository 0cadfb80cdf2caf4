"""Counts of a benchmark by split and language, and a check that its qrels fit its collection."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from rich.table import Table

from xdr.data.benchmark import SPLITS, Benchmark
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.languages import find_language
from xdr.text.records import Judgement, Query, TrainingExample


@dataclass(slots=True)
class Counts:
    """Counts of one split and language."""

    split: str
    language: str
    queries: int = 0
    with_answers: int = 0
    judged: int = 0
    examples: int = 0
    positives: int = 0
    negatives: int = 0


def count_examples(split: str, examples: Iterable[TrainingExample]) -> list[Counts]:
    by_language: dict[str, Counts] = {}
    for example in examples:
        language = example.query.language
        counts = by_language.setdefault(language, Counts(split, language))
        counts.examples += 1
        counts.with_answers += bool(example.query.answers)
        counts.positives += len(example.positives)
        counts.negatives += len(example.negatives)
    return _in_order(by_language)


def count_queries(split: str, queries: Iterable[Query], judgements: Iterable[Judgement]) -> list[Counts]:
    judged = {judgement.query_id for judgement in judgements if judgement.relevance > 0}
    by_language: dict[str, Counts] = {}
    for query in queries:
        counts = by_language.setdefault(query.language, Counts(split, query.language))
        counts.queries += 1
        counts.with_answers += bool(query.answers)
        counts.judged += query.query_id in judged
    return _in_order(by_language)


def check_judgements(benchmark: Benchmark, split: str, store: PassageStore, problems: Problems) -> Iterator[Judgement]:
    """The judgements of a split. A judged passage that the collection lacks is an error: every metric would be too low."""
    judgements = list(benchmark.judgements(split, problems))
    rows = store.rows([judgement.passage_id for judgement in judgements])
    for judgement, row in zip(judgements, rows, strict=True):
        if row is None:
            problem = f"the passage '{judgement.passage_id}', judged for query '{judgement.query_id}', is not in the collection"
            problems.skip(DataError(problem, remedy="Check that qrels and collection are of the same release"))
        else:
            yield judgement


def count_benchmark(benchmark: Benchmark, store: PassageStore, problems: Problems) -> list[Counts]:
    """Counts of the dev and test queries."""
    counts: list[Counts] = []
    for split in SPLITS[1:]:
        queries = list(benchmark.queries(split, problems))  # first: judgements do not say what is wrong with a query
        counts += count_queries(split, queries, check_judgements(benchmark, split, store, problems))
    return counts


def as_table(title: str, counts: list[Counts]) -> Table:
    """A table without the columns that hold only zeros."""
    columns = [field.name for field in fields(Counts)[2:] if any(getattr(row, field.name) for row in counts)]
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    table.add_column("language")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for place, row in enumerate(counts):
        last_of_split = place + 1 == len(counts) or counts[place + 1].split != row.split
        name = f"{row.language}  {find_language(row.language).name}"
        table.add_row(row.split, name, *(f"{getattr(row, column):,}" for column in columns), end_section=last_of_split)
    return table


def _in_order(by_language: dict[str, Counts]) -> list[Counts]:
    return [by_language[language] for language in sorted(by_language)]
