"""XQuAD-R (LAReQA): the same questions and paragraphs in eleven languages; what is retrieved is a sentence or a paragraph.

{lang}.json is SQuAD's layout with `sentences` and `sentence_breaks` [[start, end], ...] beside each paragraph. The relevant
sentence is the one in which the answer starts. Languages share question ids: a query's id here is `lang:id`, and a passage's
`lang_paragraph_sentence` as in the reference implementation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from xdr.data.benchmark import Benchmark
from xdr.data.lines import require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, json_document
from xdr.errors import DataError
from xdr.text.languages import XQUAD_R, language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample

_SPLITS = {
    "none": ("dev",) * 6,
    "articles": ("train", "train", "dev") * 2,
    "three_way": ("train", "train", "train", "dev", "test", "test"),
    "questions": ("", "", "", "dev", "test", "test"),
}
"""The splits of six articles in a row."""


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A paragraph of one language: its passages, and for each question the index of the one that answers it."""

    passages: tuple[Passage, ...]
    questions: tuple[tuple[str, Query, int], ...]  # (id shared by the languages, query, index)


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
    unit: Literal["sentence", "paragraph"]
    judge: Literal["monolingual", "multilingual"]
    holdout: Literal["none", "articles", "three_way", "questions"]
    regime: Literal["en_en", "x_x", "x_y"]
    passage_languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        object.__setattr__(self, "passage_languages", language_codes(self.passage_languages or self.languages))
        if foreign := [code for code in (*self.languages, *self._pool) if code not in XQUAD_R]:
            raise DataError(f"XQuAD-R has no '{foreign[0]}'", remedy=f"It has {' '.join(XQUAD_R)}")
        own = set(self.languages) & set(self._pool)
        if not own and (self.judge == "monolingual" or self.regime != "x_y"):
            raise DataError(
                f"no question is asked in a language of the passages ({' '.join(self._pool)})",
                remedy="Set data.judge=multilingual and data.regime=x_y",
            )

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
        """In training, pairs by `regime`. In dev, each question with the relevant passage in its own language, or else with
        those in the other languages. The twins of a question are the same question in the other languages, also in those of
        the passages."""
        regime = self.regime if split == "train" else "x_x"
        for wordings, passages in self._parallel(split, problems):
            for query in self._asked(wordings):
                twins = tuple(twin for twin in wordings if twin is not query)
                own = [passage for passage in passages if passage.language == query.language]
                if regime == "x_y" or (split != "train" and not own):
                    own = passages
                if regime != "en_en" or query.language == "en":
                    for passage in own:
                        yield TrainingExample(query, (passage,), twins=twins)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        for wordings, passages in self._parallel(split, problems):
            for query in self._asked(wordings):
                for passage in passages:
                    if self.judge == "multilingual" or passage.language == query.language:
                        yield Judgement(query.query_id, passage.passage_id, 1)

    def _parallel(self, split: str, problems: Problems) -> list[tuple[list[Query], list[Passage]]]:
        """Each question in all these languages, with its passages in the languages of the passages."""
        by_id: dict[str, tuple[list[Query], list[Passage]]] = {}
        both = tuple(dict.fromkeys((*self.languages, *self._pool)))
        for language, paragraph in self._paragraphs(both, split, problems):
            for shared_id, query, index in paragraph.questions:
                queries, passages = by_id.setdefault(shared_id, ([], []))
                queries.append(query)
                if language in self._pool:
                    passages.append(paragraph.passages[index])
        return list(by_id.values())

    def _asked(self, wordings: list[Query]) -> list[Query]:
        return [query for query in wordings if query.language in self.languages]

    def _paragraphs(
        self, languages: tuple[str, ...], split: str | None, problems: Problems
    ) -> Iterator[tuple[str, _Paragraph]]:
        """Of a split, or all. Articles have the same order in every language, so a split has the same ones."""
        for language in languages:
            path = self._file(language)
            articles = json_document(path).objects("data")
            rows = [(number, row) for number, article in enumerate(articles) for row in article.objects("paragraphs")]
            of_split = [(i, row) for i, (number, row) in enumerate(rows) if self._has(split, number)]
            for paragraph in parse_each(of_split, partial(self._parse, language), problems, str(path), may_be_empty=True):
                yield language, paragraph if split is None else self._of_split(paragraph, split)

    def _has(self, split: str | None, article: int) -> bool:
        """Whether some questions about the article belong to the split."""
        every_article = split is None or (self.holdout == "questions" and split == "train")
        return every_article or _SPLITS[self.holdout][article % 6] == split

    def _of_split(self, paragraph: _Paragraph, split: str) -> _Paragraph:
        if self.holdout != "questions":
            return paragraph
        return replace(paragraph, questions=paragraph.questions[0 if split == "train" else 1 :: 2])

    def _parse(self, language: str, numbered: tuple[int, Row]) -> _Paragraph:
        number, row = numbered
        context = row.text("context")
        passages, breaks = self._candidates(row, context, language, number)
        questions = []
        for question in row.objects("qas"):
            answers = question.objects("answers")
            if not answers:
                raise question.error("must have an answer, got none", "answers")
            start = answers[0].integer("answer_start")
            inside = [i for i, (first, end) in enumerate(breaks) if first <= start < end]
            if not inside:
                raise question.error(f"answer_start must be in a sentence, got {start}", "answers")
            shared_id = question.identifier("id")
            spans = tuple(answer.text("text") for answer in answers)
            query = Query(_query_id(language, shared_id), question.text("question"), language, spans)
            questions.append((shared_id, query, inside[0]))
        return _Paragraph(passages, tuple(questions))

    def _candidates(
        self, row: Row, context: str, language: str, number: int
    ) -> tuple[tuple[Passage, ...], list[tuple[int, int]]]:
        flat = context.replace("\n", "")
        if self.unit == "paragraph":
            return (Passage(f"{language}_{number}", "", flat, language),), [(0, len(context))]
        breaks = _sentence_breaks(row, len(context))
        texts = [context[first:end].replace("\n", "") + flat for first, end in breaks]
        passages = tuple(Passage(f"{language}_{number}_{i}", "", text, language) for i, text in enumerate(texts))
        return passages, breaks

    def _file(self, language: str) -> Path:
        plain = Path(self.path).expanduser() / f"{language}.json"
        return plain if plain.exists() else require_file(plain.with_name(plain.name + ".gz"))


def _sentence_breaks(row: Row, length: int) -> list[tuple[int, int]]:
    breaks = row.pairs("sentence_breaks")
    if not breaks or any(not 0 <= first < end <= length for first, end in breaks):
        raise row.error(f"must be [start, end] within the {length} characters of the context, got {breaks}", "sentence_breaks")
    return breaks


def _query_id(language: str, shared_id: str) -> str:
    return f"{language}:{shared_id}"
