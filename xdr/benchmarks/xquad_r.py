"""XQuAD-R (LAReQA): the same questions and paragraphs in eleven languages; what is retrieved is a sentence or a paragraph.

{lang}.json is SQuAD's layout with `sentences` and `sentence_breaks` [[start, end], ...] beside each paragraph. The relevant
sentence is the one in which the answer starts. Languages share question ids: a query's id here is `lang:id`, and a passage's
`lang_paragraph_sentence` as in the reference implementation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xdr.benchmarks.parallel import Judge, Parallel, Regime, checked_languages, parallel_examples, parallel_judgements
from xdr.benchmarks.squad import Breaks, Paragraph, Unit, paragraph_rows, read_paragraph, shared_questions
from xdr.data.benchmark import Benchmark
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row
from xdr.storage.places import place
from xdr.text.languages import XQUAD_R
from xdr.text.records import Judgement, Passage, Query, TrainingExample

_SPLITS = {
    "none": ("dev",) * 6,
    "articles": ("train", "train", "dev") * 2,
    "three_way": ("train", "train", "train", "dev", "test", "test"),
    "questions": ("", "", "", "dev", "test", "test"),
}
"""The splits of six articles in a row."""


@dataclass(frozen=True)
class XquadR(Benchmark):
    """A passage is a `unit`: a `sentence` followed by its whole paragraph (LAReQA's task) or a `paragraph`. Questions are those
    in `languages`, passages those in `passage_languages`; None: the same languages. The relevant passages of a question are
    those in its own language (`judge` = `monolingual`) or in all passage languages (`multilingual`).

    The benchmark has one split, `dev`, unless articles are held out: with `holdout` = `articles`, two thirds of the 48 articles
    are `train` and one third is `dev`; with `three_way`, 24 are `train`, 8 `dev` and 16 `test`. With `questions`, every second
    question of all articles is `train`, and the other questions about the same 8 and 16 articles are `dev` and `test`. Training
    pairs English with English (`en_en`), each language with itself (`x_x`), or with every passage language (`x_y`), as `regime`
    says."""

    path: str
    languages: tuple[str, ...]
    unit: Unit
    judge: Judge
    holdout: Literal["none", "articles", "three_way", "questions"]
    regime: Regime
    passage_languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        asked, pool = checked_languages("XQuAD-R", XQUAD_R, self.languages, self.passage_languages, self.judge, self.regime)
        object.__setattr__(self, "languages", asked)
        object.__setattr__(self, "passage_languages", pool)

    @property
    def _pool(self) -> tuple[str, ...]:
        return self.passage_languages or self.languages

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(self._file(language) for language in self._pool)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for _, paragraph in self._paragraphs(self._pool, None, problems):
            yield from paragraph.passages

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for _, paragraph in self._paragraphs(self.languages, split, problems):
            for _, query, _ in paragraph.questions:
                yield query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        regime = self.regime if split == "train" else None
        return parallel_examples(self._parallel(split, problems), self.languages, regime)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        return parallel_judgements(self._parallel(split, problems), self.languages, self.judge)

    def _parallel(self, split: str, problems: Problems) -> list[Parallel]:
        both = tuple(dict.fromkeys((*self.languages, *self._pool)))
        return shared_questions(self._paragraphs(both, split, problems), self._pool)

    def _paragraphs(self, languages: tuple[str, ...], split: str | None, problems: Problems) -> Iterator[tuple[str, Paragraph]]:
        """Of a split, or all. Articles have the same order in every language, so a split has the same ones."""
        for language in languages:
            path = self._file(language)
            rows = [(i, row) for i, (article, _, row) in enumerate(paragraph_rows(path)) if self._has(split, article)]

            def parse(numbered: tuple[int, Row], language: str = language) -> Paragraph:
                number, row = numbered
                return read_paragraph(row, language, f"{language}_{number}", self.unit, _sentence_breaks)

            for paragraph in parse_each(rows, parse, problems, str(path), may_be_empty=True):
                yield language, paragraph if split is None else self._of_split(paragraph, split)

    def _has(self, split: str | None, article: int) -> bool:
        """Whether some questions about the article belong to the split."""
        every_article = split is None or (self.holdout == "questions" and split == "train")
        return every_article or _SPLITS[self.holdout][article % 6] == split

    def _file(self, language: str) -> Path:
        return require_file(plain_or_gzipped(place(self.path) / f"{language}.json"))

    def _of_split(self, paragraph: Paragraph, split: str) -> Paragraph:
        if self.holdout != "questions":
            return paragraph
        return replace(paragraph, questions=paragraph.questions[0 if split == "train" else 1 :: 2])


def _sentence_breaks(row: Row, context: str) -> Breaks:
    breaks, length = row.pairs("sentence_breaks"), len(context)
    if not breaks or any(not 0 <= first < end <= length for first, end in breaks):
        raise row.error(f"must be [start, end] within the {length} characters of the context, got {breaks}", "sentence_breaks")
    return breaks
