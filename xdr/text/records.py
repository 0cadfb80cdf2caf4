"""The records that flow through xdr. Small, named, immutable."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is retrieved. `passage_id` is unique in its collection."""

    passage_id: str
    title: str
    text: str
    language: str = "en"

    @property
    def record_id(self) -> str:
        return self.passage_id

    def emptied(self) -> "Passage":
        return Passage(self.passage_id, "", "", self.language)


@dataclass(frozen=True, slots=True)
class Query:
    """`answers` are spans in the passages' language; empty where the benchmark hides or lacks them."""

    query_id: str
    text: str
    language: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A query, at least one passage that answers it, and passages that do not answer it.

    `positive_scores` and `negative_scores` are a teacher's scores of the passages, in the same order; empty without a teacher.
    `twins` are other wordings of the query, such as its translations or generated questions about the same passage.
    """

    query: Query
    positives: tuple[Passage, ...]
    negatives: tuple[Passage, ...] = ()
    positive_scores: tuple[float, ...] = ()
    negative_scores: tuple[float, ...] = ()
    twins: tuple[Query, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.positive_scores) in (0, len(self.positives))
        assert len(self.negative_scores) in (0, len(self.negatives))


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of a qrels file; `relevance` above zero means relevant."""

    query_id: str
    passage_id: str
    relevance: int


@dataclass(frozen=True, slots=True)
class GeneratedTexts:
    """Texts written by a model for one source, in order, by language code: questions about a passage, passages for a query."""

    source_id: str
    texts: Mapping[str, tuple[str, ...]]

    @property
    def record_id(self) -> str:
        return self.source_id

    def emptied(self) -> "GeneratedTexts":
        return GeneratedTexts(self.source_id, {})


def content_id(title: str, text: str) -> str:
    """An id for passages that a benchmark ships without one: equal content, equal id, wherever it stands."""
    return hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()[:16]
