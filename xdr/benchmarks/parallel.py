"""Queries that are asked in several languages, about passages in several languages: pairs to train on, and judgements."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from xdr.errors import DataError
from xdr.text.languages import language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample

Regime: TypeAlias = Literal["en_en", "x_x", "x_y"]
"""Training pairs English with English, each language with itself, or each with every language of passages."""

Judge: TypeAlias = Literal["monolingual", "multilingual"]
"""The relevant passages of a query are those in its own language, or those in all languages."""


class Parallel(NamedTuple):
    """A query in each language, and its relevant passages in each language of passages."""

    wordings: list[Query]
    passages: list[Passage]


def checked_languages(
    benchmark: str,
    known: Sequence[str],
    languages: Iterable[str],
    passage_languages: Iterable[str] | None,
    judge: Judge,
    regime: Regime | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of the languages of queries and of passages, which are the same ones if `passage_languages` is None.
    `regime` is None for a benchmark without a split to train on."""
    asked = language_codes(languages)
    pool = language_codes(passage_languages or asked)
    if foreign := [code for code in (*asked, *pool) if code not in known]:
        raise DataError(f"{benchmark} has no '{foreign[0]}'", remedy=f"It has {' '.join(known)}")
    if not set(asked) & set(pool) and (judge == "monolingual" or regime in ("en_en", "x_x")):
        remedy = "Set data.judge=multilingual" + (" and data.regime=x_y" if regime else "")
        raise DataError(f"no question is asked in a language of the passages ({' '.join(pool)})", remedy=remedy)
    return asked, pool


def parallel_examples(
    items: Iterable[Parallel], languages: tuple[str, ...], regime: Regime | None
) -> Iterator[TrainingExample]:
    """Pairs of the queries in these languages by `regime`. None, for a validation: each query with the relevant passage in its
    own language, or else with those in the other languages. The twins of a query are the same query in all other languages."""
    for wordings, passages in items:
        for query in (wording for wording in wordings if wording.language in languages):
            twins = tuple(twin for twin in wordings if twin is not query)
            own = [passage for passage in passages if passage.language == query.language]
            if regime == "x_y" or (regime is None and not own):
                own = passages
            if regime != "en_en" or query.language == "en":
                for passage in own:
                    yield TrainingExample(query, (passage,), twins=twins)


def parallel_judgements(items: Iterable[Parallel], languages: tuple[str, ...], judge: Judge) -> Iterator[Judgement]:
    for wordings, passages in items:
        for query in (wording for wording in wordings if wording.language in languages):
            for passage in passages:
                if judge == "multilingual" or passage.language == query.language:
                    yield Judgement(query.query_id, passage.passage_id, 1)
