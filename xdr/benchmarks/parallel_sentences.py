"""Sentences and their translations, to align the tokens of two languages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark, distinct_positives
from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Passage, Query, TrainingExample, content_id

DEV = 50
"""Every 50th pair is of the dev split, where a sentence has to find its translation."""


@dataclass(frozen=True)
class ParallelSentences(Benchmark):
    """`path` has a folder for each language, as `ar-en` with `ar.txt` and `en.txt`: a sentence a line, and its translation on
    the same line of the other file. XOR-TyDi's translations of its train questions are such files. A translation is the passage
    of its sentence, and another wording of it."""

    path: str
    languages: tuple[str, ...]
    translated_to: str = "en"

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for language in self.languages for file in self._files(language))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return distinct_positives(example for split in ("train", "dev") for example in self.examples(split, problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        if split == "test":
            return
        for language in self.languages:
            for number, sentence, translation in self._pairs(language, problems):
                if (number % DEV == 0) == (split == "dev"):
                    query_id, code = f"{language}-{number}", self.translated_to
                    passage = Passage(content_id("", translation), "", translation, code)
                    twin = Query(query_id, translation, code)
                    yield TrainingExample(Query(query_id, sentence, language), (passage,), twins=(twin,))

    def _pairs(self, language: str, problems: Problems) -> Iterator[tuple[int, str, str]]:
        """With the number of their line. Lines that are blank in one file are left out."""
        sentences, translations = (dict(read_lines(file, problems)) for file in self._files(language))
        last = max(sentences, default=0), max(translations, default=0)
        if last[0] != last[1]:
            raise DataError(
                f"the file must have as many lines as {self.translated_to}.txt beside it, {last[1]:,}, got {last[0]:,}",
                file=self._files(language)[0],
            )
        for number in sorted(sentences.keys() & translations.keys()):
            yield number, sentences[number], translations[number]

    def _files(self, language: str) -> list[Path]:
        folder = place(self.path) / f"{language}-{self.translated_to}"
        return [require_file(folder / f"{name}.txt") for name in (language, self.translated_to)]
