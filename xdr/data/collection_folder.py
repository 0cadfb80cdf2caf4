"""Bring your own: a folder of JSON lines, plain or gzipped.

corpus.jsonl      docid, title, text, [lang]
queries.jsonl     query_id, query, lang, [answers], [split]        no split: dev
qrels.tsv         TREC's four columns                              optional; judged dev queries are used for validation
train.jsonl       Tevatron's format                                optional
generated.jsonl   docid, generated_queries: {lang: [text, ...]}    optional
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import SPLITS, Benchmark
from xdr.data.judged import judged_examples
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems
from xdr.data.qrels import read_qrels
from xdr.data.rows import Row, read_rows
from xdr.data.tevatron import read_corpus, read_training_examples
from xdr.errors import DataError, did_you_mean, near_path
from xdr.storage.places import place
from xdr.text.records import Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class CollectionFolder(Benchmark):
    path: str

    def __post_init__(self) -> None:
        folder = place(self.path)
        if not folder.is_dir():
            if folder.exists():
                raise DataError("data.path must be a folder, got a file", file=folder, remedy="Give the folder that it is in")
            raise DataError("data.path must be a folder, but there is none of that name", file=folder, remedy=near_path(folder))
        require_file(self._file("corpus.jsonl"))

    def passage_sources(self) -> tuple[Path, ...]:
        return (self._file("corpus.jsonl"),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return read_corpus(self._file("corpus.jsonl"), problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        """The queries of a split. Ids are unique in the whole file."""
        seen: set[str] = set()

        def parse(row: Row) -> Query | None:
            query = Query(row.identifier("query_id"), row.text("query"), row.language("lang"), row.texts("answers"))
            split_of_row = row.optional_text("split") or "dev"
            if split_of_row not in SPLITS:
                raise row.error(f"must be one of {', '.join(SPLITS)}, got '{split_of_row}'", "split")
            if query.query_id in seen:
                raise row.error(f"ids must be unique, got '{query.query_id}' again", "query_id")
            seen.add(query.query_id)
            return query if split_of_row == split else None

        return read_rows(self._file("queries.jsonl"), problems, parse)

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        """Training examples are those of train.jsonl. Without it, and in other splits, they are the queries that have
        relevant passages in qrels.tsv, with the passages that were judged not relevant as negatives."""
        source = self._file("train.jsonl")
        if split == "train" and source.exists():
            yield from read_training_examples(source, problems)
            return
        queries, judgements = self.queries(split, problems), self.judgements(split, problems)
        files = (self._file("qrels.tsv"), self._file("corpus.jsonl").name)
        yield from judged_examples(queries, judgements, self.passages(problems), problems, files)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        """The judgements of the split's queries. A judgement of a query that queries.jsonl lacks is an error."""
        source = self._file("qrels.tsv")
        if not source.exists():
            return
        by_split: dict[str, set[str]] = {
            name: {query.query_id for query in self.queries(name, Problems(strict=False))} for name in SPLITS
        }
        known = set().union(*by_split.values())
        for judgement in read_qrels(source, problems):
            if judgement.query_id not in known:
                remedy = did_you_mean(judgement.query_id, known) or "Add the query to queries.jsonl, or remove the line"
                problem = f"the query '{judgement.query_id}' is not in queries.jsonl"
                problems.skip(DataError(problem, file=source, field="query_id", remedy=remedy))
            elif judgement.query_id in by_split[split]:
                yield judgement

    def generated_file(self) -> Path | None:
        source = self._file("generated.jsonl")
        return source if source.exists() else None

    def _file(self, name: str) -> Path:
        return plain_or_gzipped(place(self.path) / name)
