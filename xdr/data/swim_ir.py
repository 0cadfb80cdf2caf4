"""SWIM-IR: questions that a language model wrote about English passages, in 33 languages (Thakur et al., 2024).

JSON lines `_id, lang, code, query, title, text`, in any number of files; `lang` and `code` are the question's language.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, json_rows
from xdr.errors import DataError
from xdr.text.languages import language_codes
from xdr.text.records import Passage, Query, TrainingExample, content_id


@dataclass(frozen=True)
class SwimIr(Benchmark):
    """`path` is a file or a folder, searched to its depth, or `hub:ORG/NAME/CONFIG:SPLIT`. There is no dev set: `dev_share` of
    the passages, chosen by their content, are kept for it. Of each language the first `per_language` pairs are read; 0: all."""

    path: str
    languages: tuple[str, ...]
    per_language: int
    dev_share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        if not 0 <= self.dev_share < 1 or self.per_language < 0:
            raise DataError(
                "data.dev_share is at least 0 and below 1, data.per_language at least 0; "
                f"{self.dev_share} and {self.per_language} came"
            )
        if not self._files():
            raise DataError("data.path is a file of JSON lines or a folder with such files", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(Path(file) for file in self._files() if not str(file).startswith("hub:"))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        """Those that a question was written about, each once."""
        seen: set[str] = set()
        for example in self._pairs(problems):
            (passage,) = example.positives
            if passage.passage_id not in seen:
                seen.add(passage.passage_id)
                yield passage

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for example in self.examples(split, problems):
            yield example.query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for example in self._pairs(problems):
            if split == ("dev" if self._is_dev(example.positives[0]) else "train"):
                yield example

    def _pairs(self, problems: Problems) -> Iterator[TrainingExample]:
        taken: Counter[str] = Counter()

        def parse(row: Row) -> TrainingExample | None:
            language = row.language("code") if row.has("code") else row.language("lang")
            if language not in self.languages or 0 < self.per_language <= taken[language]:
                return None
            title, text = row.optional_text("title"), row.text("text")
            example = TrainingExample(
                Query(row.identifier("_id"), row.text("query"), language), (Passage(content_id(title, text), title, text),)
            )
            taken[language] += 1
            return example

        for file in self._files():
            for example in parse_each(json_rows(file, problems), parse, problems, str(file)):
                if example is not None:
                    yield example

    def _is_dev(self, passage: Passage) -> bool:
        number = int.from_bytes(hashlib.blake2b(passage.passage_id.encode(), digest_size=8).digest(), "little")
        return number < self.dev_share * 2**64

    def _files(self) -> list[str | Path]:
        if self.path.startswith("hub:"):
            return [self.path]
        path = Path(self.path).expanduser()
        if path.is_file():
            return [path]
        return sorted(file for file in path.rglob("*.jsonl*") if file.name.endswith((".jsonl", ".jsonl.gz")))
