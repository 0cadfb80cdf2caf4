"""XGLUE's two tasks about relevance, as retrieval: web page ranking (WPR) and question-answer matching (QAM).

xglue.{task}.{lang}.{split} are tables without a header: query, title, snippet, label 0 (bad) to 4 (perfect); or question,
answer, label 0 or 1. Training files are English.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from xdr.data.benchmark import SPLITS, Benchmark, checked_splits
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems
from xdr.data.rows import Row
from xdr.data.tables import read_table
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample, content_id

_COLUMNS = {"wpr": ("query", "title", "text", "label"), "qam": ("query", "text", "label")}
_LANGUAGES = {"wpr": ("de", "en", "es", "fr", "it", "pt", "zh"), "qam": ("de", "en", "fr")}
_LABELS = {"wpr": ("0", "1", "2", "3", "4"), "qam": ("0", "1")}


class _Labelled(NamedTuple):
    query: Query
    passage: Passage
    label: int


@dataclass(frozen=True)
class Xglue(Benchmark):
    """The collection has the pages or answers of the `splits` in these languages, each once. A label is a relevance. A query
    searches the whole collection; XGLUE itself ranks only the few pages that were labelled for the query (`nDCG-judged`).
    In training, passages with a label of at least `least_positive` are positives and the others negatives."""

    path: str
    task: Literal["wpr", "qam"]
    languages: tuple[str, ...]
    splits: tuple[str, ...]
    least_positive: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        object.__setattr__(self, "splits", checked_splits(self.splits, SPLITS))
        if foreign := [code for code in self.languages if code not in _LANGUAGES[self.task]]:
            raise DataError(f"XGLUE's {self.task} has no '{foreign[0]}'", remedy=f"It has {' '.join(_LANGUAGES[self.task])}")
        if not 1 <= self.least_positive <= len(_LABELS[self.task]) - 1:
            highest = len(_LABELS[self.task]) - 1
            raise DataError(f"data.least_positive must be 1 to {highest} for {self.task}, got {self.least_positive}")

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for split in self.splits for _, file in self._files(split))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        seen: set[str] = set()
        for split in self.splits:
            for _, passage, _ in self._labelled(split, problems):
                if passage.passage_id not in seen:
                    seen.add(passage.passage_id)
                    yield passage

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        yield from dict.fromkeys(query for query, _, _ in self._labelled(split, problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for query, labels in self._by_query(split, problems).items():
            positives = tuple(passage for passage, label in labels.items() if label >= self.least_positive)
            negatives = tuple(passage for passage, label in labels.items() if label < self.least_positive)
            if positives:
                yield TrainingExample(query, positives, negatives)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        for query, labels in self._by_query(split, problems).items():
            for passage, label in labels.items():
                yield Judgement(query.query_id, passage.passage_id, label)

    def _by_query(self, split: str, problems: Problems) -> dict[Query, dict[Passage, int]]:
        """The highest label of each passage."""
        found: dict[Query, dict[Passage, int]] = {}
        for query, passage, label in self._labelled(split, problems):
            labels = found.setdefault(query, {})
            labels[passage] = max(label, labels.get(passage, 0))
        return found

    def _labelled(self, split: str, problems: Problems) -> Iterator[_Labelled]:
        for language, path in self._files(split) if split in self.splits else ():

            def parse(row: Row, language: str = language) -> _Labelled | None:
                if not row.optional_text("text").strip():
                    problems.omitted["pages without text"] += 1
                    return None
                title, text = row.optional_text("title").strip(), row.text("text").strip()
                if (label := row.text("label").strip()) not in _LABELS[self.task]:
                    raise row.error(f"must be one of {' '.join(_LABELS[self.task])}, got '{label}'", "label")
                wording = row.text("query").strip()
                query = Query(f"{language}-{split}-{content_id('', wording)}", wording, language)
                return _Labelled(query, Passage(f"{language}-{content_id(title, text)}", title, text, language), int(label))

            yield from read_table(path, problems, _COLUMNS[self.task], parse)

    def _files(self, split: str) -> list[tuple[str, Path]]:
        """With their languages. To train on there is English alone."""
        languages = tuple(code for code in self.languages if split != "train" or code == "en")
        path = place(self.path)
        names = [f"xglue.{self.task}.{language}.{split}" for language in languages]
        return list(zip(languages, (require_file(plain_or_gzipped(path / name)) for name in names), strict=True))
