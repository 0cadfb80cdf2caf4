"""Generated questions as training data: each with the passage that it was generated from, as in SWIM-IR.

The files are those that stage=export writes: `docid, title, text, generated_queries: {lang: [text, ...]}`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.generated_queries import parse_generated_queries
from xdr.data.problems import Problems
from xdr.data.rows import Row, read_rows
from xdr.data.tevatron import read_corpus
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Passage, Query, TrainingExample


@dataclass(frozen=True)
class GeneratedPairs(Benchmark):
    """`path` is a file of JSON lines or a pattern of files. `languages` are those of the questions, None for all. The first
    `number` questions of a passage in each language are read; 0 reads all. There is a train split only."""

    path: str
    languages: tuple[str, ...] | None
    number: int

    def __post_init__(self) -> None:
        if self.languages is not None:
            object.__setattr__(self, "languages", language_codes(self.languages))
        if self.number < 0:
            raise DataError(f"data.number must be at least 0, got {self.number}")
        if not self.passage_sources():
            raise DataError("data.path must be a file of stage=export, or a pattern of such files", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        path = place(self.path)
        return tuple(file for file in sorted(path.parent.glob(path.name)) if file.is_file())

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for file in self.passage_sources():
            yield from read_corpus(file, problems)

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for file in self.passage_sources() if split == "train" else ():
            for examples in read_rows(file, problems, self._examples):
                yield from examples

    def _examples(self, row: Row) -> list[TrainingExample]:
        passage, asked = row.passage(), parse_generated_queries(row)
        return [
            TrainingExample(Query(f"{passage.passage_id}:{language}:{place}", text, language), (passage,))
            for language, texts in asked.texts.items()
            if self.languages is None or language in self.languages
            for place, text in enumerate(texts[: self.number or None])
        ]
