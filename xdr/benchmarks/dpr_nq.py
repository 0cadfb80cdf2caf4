"""English Natural Questions as DPR released them: the training data of the zero-shot variant.

biencoder-nq-{train,dev}.json[.gz] is one array of {question, answers, positive_ctxs, negative_ctxs, hard_negative_ctxs}; a
context is {title, text, passage_id, ...}, where some files write `psg_id`. Passages: psgs_w100.tsv.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.json_array import json_array_rows
from xdr.data.passage_tsv import read_passage_tsv
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row
from xdr.storage.places import place
from xdr.text.records import Judgement, Passage, Query, TrainingExample, content_id


def read_dpr_examples(path: str | Path, problems: Problems) -> Iterator[TrainingExample]:
    """Negatives are BM25's `hard_negative_ctxs`. DPR's random `negative_ctxs` are left out: a batch has random ones."""

    def parse(row: Row) -> TrainingExample:
        query = _query(row)
        positives = tuple(_passage(context) for context in row.objects("positive_ctxs"))
        if not positives:
            raise row.error("must have at least one passage, got none", "positive_ctxs", "Remove the query")
        return TrainingExample(query, positives, tuple(_passage(context) for context in row.objects("hard_negative_ctxs")))

    yield from parse_each(json_array_rows(path), parse, problems, str(path))


def _query(row: Row) -> Query:
    """The files have no query ids. Equal questions get the same id."""
    text = row.text("question")
    return Query(f"nq-{content_id('', text)}", text, "en", row.texts("answers"))


def _passage(row: Row) -> Passage:
    id_field = "passage_id" if row.has("passage_id") else "psg_id"
    title, text = row.optional_text("title"), row.text("text")
    return Passage(row.identifier(id_field) if row.has(id_field) else content_id(title, text), title, text)


@dataclass(frozen=True)
class DprNaturalQuestions(Benchmark):
    path: str
    train_file: str
    dev_file: str
    passages_file: str

    def passage_sources(self) -> tuple[Path, ...]:
        return (self._file(self.passages_file),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return read_passage_tsv(self._file(self.passages_file), problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        if path := self._examples_file(split):
            yield from parse_each(json_array_rows(path), _query, problems, str(path))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        if path := self._examples_file(split):
            yield from read_dpr_examples(path, problems)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        yield from ()

    def _examples_file(self, split: str) -> Path | None:
        name = {"train": self.train_file, "dev": self.dev_file}.get(split)
        return self._file(name) if name else None

    def _file(self, name: str) -> Path:
        return place(self.path) / name
