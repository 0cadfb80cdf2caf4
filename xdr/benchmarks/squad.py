"""SQuAD's layout: articles with paragraphs, paragraphs with questions whose answers are spans of them."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from xdr.benchmarks.parallel import Parallel
from xdr.data.rows import Row, json_document
from xdr.text.records import Passage, Query

Unit: TypeAlias = Literal["sentence", "paragraph"]
"""What is retrieved: a sentence followed by its whole paragraph (LAReQA's task), or a paragraph."""

Breaks: TypeAlias = list[tuple[int, int]]
"""Start and end of each sentence."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of one language: its passages, and for each question the index of the one that answers it."""

    passages: tuple[Passage, ...]
    questions: tuple[tuple[str, Query, int], ...]  # (the id in the file, query, index)


def paragraph_rows(path: Path) -> list[tuple[int, Row, Row]]:
    """(number of the article, article, paragraph) of each paragraph."""
    articles = enumerate(json_document(path).objects("data"))
    return [(number, article, row) for number, article in articles for row in article.objects("paragraphs")]


def read_paragraph(row: Row, language: str, passage_id: str, unit: Unit, breaks_of: Callable[[Row, str], Breaks]) -> Paragraph:
    """The passages' ids are `passage_id`, followed by the number of the sentence where these are the unit. A query's id is
    `lang:id`, because languages share ids. The passage that answers is the one in which the first answer starts."""
    context = row.text("context")
    flat = context.replace("\n", "")
    if unit == "paragraph":
        whole = Passage(passage_id, "", flat, language)
        return Paragraph((whole,), tuple(_questions(row, language, [(0, len(context))])))
    breaks = breaks_of(row, context)
    texts = [context[first:end].replace("\n", "") + flat for first, end in breaks]
    sentences = tuple(Passage(f"{passage_id}_{i}", "", text, language) for i, text in enumerate(texts))
    return Paragraph(sentences, tuple(_questions(row, language, breaks)))


def _questions(row: Row, language: str, breaks: Breaks) -> Iterator[tuple[str, Query, int]]:
    for question in row.objects("qas"):
        answers = question.objects("answers")
        if not answers:
            raise question.error("must have an answer, got none", "answers")
        start = answers[0].integer("answer_start")
        inside = [i for i, (first, end) in enumerate(breaks) if first <= start < end]
        if not inside:
            raise question.error(f"answer_start must be in a sentence, got {start}", "answers")
        released = question.identifier("id")
        yield released, Query(f"{language}:{released}", question.text("question"), language, spans_of(question)), inside[0]


def spans_of(question: Row) -> tuple[str, ...]:
    """The texts of a question's answers."""
    return tuple(answer.text("text") for answer in question.objects("answers"))


def shared_questions(paragraphs: Iterable[tuple[str, Paragraph]], pool: Collection[str]) -> list[Parallel]:
    """The questions that share an id in several languages, with the passages that answer them in the languages of the pool.
    `paragraphs` come with their languages."""
    by_id: dict[str, Parallel] = {}
    for language, paragraph in paragraphs:
        for shared_id, query, index in paragraph.questions:
            item = by_id.setdefault(shared_id, Parallel([], []))
            item.wordings.append(query)
            if language in pool:
                item.passages.append(paragraph.passages[index])
    return list(by_id.values())
