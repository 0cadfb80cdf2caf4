"""R@2kt and R@5kt of XOR-TyDi: whether the first 2,000 or 5,000 tokens of the retrieved passages contain an answer.

Equal to the official script to the last digit. A query scores 1 if the tokens of the passages' texts in ranked order, cut at
the budget and joined by blanks, contain an answer as a substring. The answers `yes` and `no` do not count; a query without
other answers has no value.

Tokenizing takes nearly all of the time. A passage is tokenized only if bounds on numbers of tokens, and the characters that
tokenizing keeps, do not decide whether an answer is within a budget.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xdr.evaluation.word_tokens import PassageKey, PassageTokens, TokenizedPassage, letters
from xdr.text.records import Query

Budgets = tuple[int, ...]


@dataclass(frozen=True)
class AnswerRecall:
    """`values[budget]` holds 1, 0 or nan (no answer to search for) for each query. `num_short` rankings have fewer tokens than
    the largest budget: with more passages, more queries might score."""

    values: Mapping[int, NDArray[np.float64]]
    num_short: int


def span_answers(query: Query) -> tuple[str, ...]:
    return tuple(answer for answer in query.answers if answer not in ("yes", "no"))


def answer_recall(
    queries: Sequence[Query],
    rankings: Mapping[str, Sequence[Sequence[PassageKey]]],
    text_of: Callable[[PassageKey], str],
    budgets: Sequence[int],
    passages: PassageTokens[PassageKey] | None = None,
) -> dict[str, AnswerRecall]:
    """The recall of each system.

    `rankings[system][i]` are the passages of `queries[i]`, best first; `text_of` returns the text of a passage without its
    title. Pass `passages` to reuse tokens in several calls.
    """
    assert all(len(ranking) == len(queries) for ranking in rankings.values()), "a ranking for each query"
    passages = PassageTokens(text_of) if passages is None else passages
    ascending = tuple(sorted(set(budgets)))
    hits = {system: np.full((len(queries), len(ascending)), np.nan) for system in rankings}
    num_short = dict.fromkeys(rankings, 0)
    for i, query in enumerate(queries):  # systems are in the inner loop: they rank the same passages for a query
        answers = span_answers(query)
        if not answers:
            continue
        for system, ranked in rankings.items():
            window = _window(ranked[i], ascending[-1], passages)
            hits[system][i] = _hits(answers, window, ascending, passages)
            num_short[system] += _is_short(window, ascending[-1], passages)
    return {
        system: AnswerRecall({budget: hits[system][:, b] for b, budget in enumerate(ascending)}, num_short[system])
        for system in rankings
    }


Window = list[tuple[PassageKey, TokenizedPassage]]


def _window(ranking: Sequence[PassageKey], budget: int, passages: PassageTokens[PassageKey]) -> Window[PassageKey]:
    """The first passages, as many as can have a token within the budget."""
    window: Window[PassageKey] = []
    fewest = 0
    for passage in ranking:
        if fewest >= budget:
            break
        bounds = passages.bounds(passage)
        window.append((passage, bounds))
        fewest += bounds.fewest
    return window


def _hits(
    answers: Sequence[str], window: Window[PassageKey], budgets: Budgets, passages: PassageTokens[PassageKey]
) -> list[bool]:
    """A hit or not for each budget. `last` is the first passage in which an answer can end."""
    last = _first_possible_end(answers, window)
    if last is None or _bound(window[:last], "fewest") >= budgets[-1]:
        return [False] * len(budgets)
    in_passage = tokens_to_answer(answers, passages.tokens(window[last][0])[0]) if window else None
    if in_passage is not None:
        for passage, _ in window[: last + 1]:
            fewest, most = (_bound(window[:last], bound) for bound in ("fewest", "most"))
            if not any(fewest < budget < most + in_passage for budget in budgets):
                return [most + in_passage <= budget for budget in budgets]
            passages.tokens(passage)  # makes both its bounds exact
    needed = _tokens_needed(answers, window, last, budgets[-1], passages)
    return [needed is not None and needed <= budget for budget in budgets]


def _bound(window: Window[PassageKey], name: Literal["fewest", "most"]) -> int:
    return sum(getattr(passage, name) for _, passage in window)


def _first_possible_end(answers: Sequence[str], window: Window[PassageKey]) -> int | None:
    """The first passage in which an answer can end, judged by letters alone. An answer without letters can end anywhere."""
    text = "".join(passage.letters for _, passage in window)
    ends = []
    for answer in map(letters, answers):
        start = text.find(answer)
        if start >= 0:
            ends.append(start + len(answer))
    if not ends:
        return None
    if not min(ends):
        return 0
    passage_ends = list(accumulate(len(passage.letters) for _, passage in window))
    return bisect_right(passage_ends, min(ends) - 1)


def _tokens_needed(
    answers: Sequence[str], window: Window[PassageKey], last: int, budget: int, passages: PassageTokens[PassageKey]
) -> int | None:
    """The least number of tokens of the ranking that contain an answer; above the budget or None if there is none within it."""
    tokens: list[str] = []
    number = 0
    for i, (passage, _) in enumerate(window):
        joined, count = passages.tokens(passage)
        if count:
            tokens.append(joined)
        number += count
        if number >= budget:
            break
        if i == last:  # mostly the answer is here, and later passages need no tokens
            needed = tokens_to_answer(answers, " ".join(tokens))
            if needed is not None:
                return needed
    return tokens_to_answer(answers, " ".join(tokens))


def tokens_to_answer(answers: Sequence[str], tokens: str) -> int | None:
    """The number of tokens up to the end of the answer that ends first; None if there is none. Tokens are joined by blanks."""
    ends = []
    for answer in answers:
        start = tokens.find(answer)
        if start >= 0:
            ends.append(start + len(answer))
    return tokens.count(" ", 0, min(ends)) + 1 if ends else None


def _is_short(window: Window[PassageKey], budget: int, passages: PassageTokens[PassageKey]) -> bool:
    """True if the window has fewer tokens than the budget."""
    if _bound(window, "fewest") >= budget:
        return False
    return _bound(window, "most") < budget or sum(passages.tokens(passage)[1] for passage, _ in window) < budget
