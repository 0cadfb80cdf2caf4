"""Tevatron's JSON lines: xor-tydi, wikipedia-nq, MIRACL and Mr. TyDi.

A line has `query_id`, `query`, optionally `lang` and `answers`, and the lists `positive_passages` and `negative_passages` of
{docid, title, text, [score]}, where `score` is a teacher's. A corpus line has `docid`, `title`, `text`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.data.rows import Row, json_rows, read_rows
from xdr.storage.places import place
from xdr.text.languages import find_language
from xdr.text.records import Judgement, Passage, Query, TrainingExample

LanguageOf = Callable[[Row], str]


def language_in_row(row: Row) -> str:
    return row.language("lang")


def read_training_examples(
    source: str | Path, problems: Problems, language_of: LanguageOf = language_in_row, passage_language: str = "en"
) -> Iterator[TrainingExample]:
    def parse(row: Row) -> TrainingExample:
        query = _query(row, language_of)
        positives, positive_scores = _passages(row, "positive_passages", passage_language)
        negatives, negative_scores = _passages(row, "negative_passages", passage_language)
        if not positives:
            raise row.error("must have at least one passage, got none", "positive_passages", "Remove the query")
        return TrainingExample(query, positives, negatives, positive_scores, negative_scores)

    return read_rows(source, problems, parse)


def read_corpus(source: str | Path, problems: Problems, language: str = "en") -> Iterator[Passage]:
    return read_rows(source, problems, lambda row: row.passage(language))


def _query(row: Row, language_of: LanguageOf) -> Query:
    return Query(row.identifier("query_id"), row.text("query"), language_of(row), row.texts("answers"))


def _passages(row: Row, field: str, language: str) -> tuple[tuple[Passage, ...], tuple[float, ...]]:
    """The passages of a list, and their `score` fields: all passages of a list have one, or none."""
    rows = row.objects(field)
    scores = tuple(passage.number("score") for passage in rows if passage.has("score"))
    if scores and len(scores) != len(rows):
        problem = f"all passages of a list must have a score, or none, got {len(scores)} scores for {len(rows)} passages"
        raise row.error(problem, field, "Score the others, or remove the field `score`")
    return tuple(passage.passage(language) for passage in rows), scores


@dataclass(frozen=True)
class TevatronFiles(Benchmark):
    """A benchmark in Tevatron's format, one file for each split (a path, or `hub:ORG/NAME:SPLIT`). `language` is that of the
    queries and `passage_language` that of the passages, where a line does not name its own."""

    corpus: str
    queries_by_split: dict[str, str] = field(default_factory=dict)
    language: str = "en"
    passage_language: str = "en"

    def passage_sources(self) -> tuple[Path, ...]:
        return () if self.corpus.startswith("hub:") else (place(self.corpus),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return read_corpus(self.corpus, problems, find_language(self.passage_language).code)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        if source := self.queries_by_split.get(split):
            yield from read_rows(source, problems, lambda row: _query(row, self._language_of))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        if source := self.queries_by_split.get(split):
            language = find_language(self.passage_language).code
            yield from read_training_examples(source, problems, self._language_of, language)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        """MIRACL and Mr. TyDi judge the passages that stand beside each query."""
        if not (source := self.queries_by_split.get(split)):
            return
        for row in json_rows(source, problems):
            for name, relevance in (("positive_passages", 1), ("negative_passages", 0)):
                for passage in row.objects(name):
                    yield Judgement(row.identifier("query_id"), passage.identifier("docid"), relevance)

    def _language_of(self, row: Row) -> str:
        return row.language("lang", find_language(self.language).code)
