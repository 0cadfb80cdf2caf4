"""BEIR's folders, in which many retrieval benchmarks are published.

corpus.jsonl        _id, title, text
queries.jsonl       _id, text
qrels/{split}.tsv   query-id, corpus-id, score, with that header; the queries of a split are those it judges
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import SPLITS, Benchmark
from xdr.data.judged import judged_examples
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems
from xdr.data.qrels import relevance_of
from xdr.data.rows import Row, read_rows
from xdr.data.tables import read_table
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class BeirFolder(Benchmark):
    """The files name no languages: `language` is that of the queries, `passage_language` that of the passages."""

    path: str
    language: str
    passage_language: str

    def __post_init__(self) -> None:
        for name in ("language", "passage_language"):
            object.__setattr__(self, name, *language_codes([getattr(self, name)]))
        require_file(self._file("corpus.jsonl"))
        if not any(self._qrels(split).exists() for split in SPLITS):
            raise DataError("data.path must have qrels/train.tsv, dev.tsv or test.tsv, but there is none", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return (self._file("corpus.jsonl"),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        """A document that has a title alone is the title."""

        def parse(row: Row) -> Passage | None:
            passage_id, title, text = row.identifier("_id"), row.optional_text("title").strip(), row.optional_text("text")
            if text.strip():
                return Passage(passage_id, title, text, self.passage_language)
            if title:
                return Passage(passage_id, "", title, self.passage_language)
            problems.omitted["documents without text"] += 1
            return None

        return read_rows(self._file("corpus.jsonl"), problems, parse)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        missing = {judgement.query_id for judgement in self.judgements(split, problems)}
        if not missing:
            return

        def parse(row: Row) -> Query | None:
            query_id = row.identifier("_id")
            if query_id not in missing:
                return None
            missing.remove(query_id)
            return Query(query_id, row.text("text"), self.language)

        yield from read_rows(self._file("queries.jsonl"), problems, parse)
        for query_id in sorted(missing):
            problems.skip(DataError(f"the query '{query_id}' is not in queries.jsonl", file=self._qrels(split)))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        queries, judgements = self.queries(split, problems), self.judgements(split, problems)
        return judged_examples(queries, judgements, self.passages(problems), problems, (self._qrels(split), "corpus.jsonl"))

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        def parse(row: Row) -> Judgement:
            try:
                relevance = relevance_of(row.text("score").strip())
            except ValueError as error:
                raise row.error(str(error), "score") from None
            return Judgement(row.identifier("query-id"), row.identifier("corpus-id"), relevance)

        if self._qrels(split).exists():
            yield from read_table(self._qrels(split), problems, None, parse)

    def _qrels(self, split: str) -> Path:
        return self._file(f"qrels/{split}.tsv")

    def _file(self, name: str) -> Path:
        return plain_or_gzipped(place(self.path) / name)
