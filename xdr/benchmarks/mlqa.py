"""MLQA: questions in seven languages, each in four of them on average, and paragraphs that answer them in the same languages.

{split}-context-{lang}-question-{lang}.json is SQuAD's layout. Questions of several languages that are one question share an
id. The other files of the release, with contexts and questions in two languages, pair what shares an id: nothing more is in
them. LAReQA's MLQA-R has the sentences of the dev files as passages; it was not released.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.benchmarks.parallel import Judge, Parallel, checked_languages, parallel_examples, parallel_judgements
from xdr.benchmarks.squad import Paragraph, Unit, paragraph_rows, read_paragraph, shared_questions
from xdr.data.benchmark import Benchmark, checked_splits
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row
from xdr.storage.places import place
from xdr.text.languages import MLQA
from xdr.text.records import Judgement, Passage, Query, TrainingExample
from xdr.text.sentences import sentence_breaks

RELEASED = ("dev", "test")


@dataclass(frozen=True)
class Mlqa(Benchmark):
    """A passage is a `unit`: a `sentence` followed by its whole paragraph (LAReQA's task) or a `paragraph`. Questions are those
    in `languages`, passages those in `passage_languages`; None: the same languages. The relevant passages of a question are
    those in its own language (`judge` = `monolingual`) or in all passage languages (`multilingual`).

    Only the `splits` are read: passages are theirs, so that questions of the dev files do not search the twelve times larger
    test files. MLQA has no split to train on."""

    path: str
    languages: tuple[str, ...]
    unit: Unit
    judge: Judge
    splits: tuple[str, ...]
    passage_languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        asked, pool = checked_languages("MLQA", MLQA, self.languages, self.passage_languages, self.judge, None)
        object.__setattr__(self, "languages", asked)
        object.__setattr__(self, "passage_languages", pool)
        object.__setattr__(self, "splits", checked_splits(self.splits, RELEASED))

    @property
    def _pool(self) -> tuple[str, ...]:
        return self.passage_languages or self.languages

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(self._file(split, language) for split in self.splits for language in self._pool)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for split in self.splits:
            for _, paragraph in self._paragraphs(self._pool, split, problems):
                yield from paragraph.passages

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for _, paragraph in self._paragraphs(self.languages, split, problems):
            for _, query, _ in paragraph.questions:
                yield query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        return parallel_examples(self._parallel(split, problems), self.languages, None)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        return parallel_judgements(self._parallel(split, problems), self.languages, self.judge)

    def _parallel(self, split: str, problems: Problems) -> list[Parallel]:
        both = tuple(dict.fromkeys((*self.languages, *self._pool)))
        return shared_questions(self._paragraphs(both, split, problems), self._pool)

    def _paragraphs(self, languages: tuple[str, ...], split: str, problems: Problems) -> Iterator[tuple[str, Paragraph]]:
        for language in languages if split in self.splits else ():
            path = self._file(split, language)

            def parse(numbered: tuple[int, Row], language: str = language) -> Paragraph:
                number, row = numbered
                passage_id = f"{split}_{language}_{number}"
                return read_paragraph(row, language, passage_id, self.unit, lambda _, context: sentence_breaks(context))

            rows = enumerate(row for _, _, row in paragraph_rows(path))
            for paragraph in parse_each(rows, parse, problems, str(path)):
                yield language, paragraph

    def _file(self, split: str, language: str) -> Path:
        """In the release's folder of the split, or in `path` itself."""
        name = f"{split}-context-{language}-question-{language}.json"
        path = place(self.path)
        flat = plain_or_gzipped(path / name)
        return flat if flat.exists() else require_file(plain_or_gzipped(path / split / name))
