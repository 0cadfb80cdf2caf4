"""SWIM-IR: questions that a language model wrote about English passages, in 33 languages (Thakur et al., 2024).

JSON lines `_id, lang, code, query, title, text`, in any number of files; `lang` and `code` are the question's language.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark, distinct_positives
from xdr.data.problems import Problems
from xdr.data.rows import Row, read_rows
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Passage, Query, TrainingExample, content_id


@dataclass(frozen=True)
class SwimIr(Benchmark):
    """`path` is a file, a folder that is searched to its depth, or `hub:ORG/NAME/CONFIG:SPLIT`. The release has no dev set:
    `dev_share` of the passages are kept for one, chosen by their content. The first `per_language` pairs of each language are
    read; 0 reads all."""

    path: str
    languages: tuple[str, ...]
    per_language: int
    dev_share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        if not 0 <= self.dev_share < 1:
            raise DataError(f"data.dev_share must be at least 0 and below 1, got {self.dev_share}")
        if self.per_language < 0:
            raise DataError(f"data.per_language must be at least 0, got {self.per_language}")
        if not self._files():
            raise DataError("data.path must be a file of JSON lines, or a folder that has some", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for file in self._files() if not isinstance(file, str))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return distinct_positives(self._pairs(problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for example in self._pairs(problems):
            if split == ("dev" if self._is_dev(example.positives[0]) else "train"):
                yield example

    def _pairs(self, problems: Problems) -> Iterator[TrainingExample]:
        num_read: Counter[str] = Counter()

        def parse(row: Row) -> TrainingExample | None:
            language = row.language("code" if row.has("code") else "lang")
            if language not in self.languages or 0 < self.per_language <= num_read[language]:
                return None
            title, text = row.optional_text("title"), row.text("text")
            query = Query(row.identifier("_id"), row.text("query"), language)
            num_read[language] += 1
            return TrainingExample(query, (Passage(content_id(title, text), title, text),))

        for file in self._files():
            yield from read_rows(file, problems, parse)

    def _is_dev(self, passage: Passage) -> bool:
        number = int.from_bytes(hashlib.blake2b(passage.passage_id.encode(), digest_size=8).digest(), "little")
        return number < self.dev_share * 2**64

    def _files(self) -> list[str | Path]:
        if self.path.startswith("hub:"):
            return [self.path]
        path = place(self.path)
        if path.is_file():
            return [path]
        return sorted(file for file in path.rglob("*.jsonl*") if file.name.endswith((".jsonl", ".jsonl.gz")))
