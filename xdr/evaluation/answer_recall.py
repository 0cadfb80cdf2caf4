"""R@2kt and R@5kt of XOR-TyDi: does an answer stand in the first 2,000 or 5,000 tokens of what was retrieved?

The official procedure, to the last digit: tokens of the passages' texts in the order of the ranking until the budget is
reached, cut to it, joined by blanks; a hit if any answer is a substring of that. Answers `yes` and `no` do not count, and a
query that has no other has no value.

Tokenising is nearly the whole cost, so a passage is tokenised only where bounds on token counts, and the characters that no
tokeniser changes, leave open whether an answer stands within a budget.
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
    """`values[budget]` has 1 or 0 for each query, in the queries' order, and nan for those without a span to look for.
    `num_short` rankings ran out of passages before the largest budget: more passages might have given more hits."""

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
    """By system. `rankings[system][i]` are the passages of `queries[i]`, best first; `text_of` gives a passage's text without
    its title. `passages` is for who scores more than once and wants to tokenise no passage again."""
    assert all(len(ranking) == len(queries) for ranking in rankings.values()), "a ranking for each query"
    passages = PassageTokens(text_of) if passages is None else passages
    ascending = tuple(sorted(set(budgets)))
    hits = {system: np.full((len(queries), len(ascending)), np.nan) for system in rankings}
    num_short = dict.fromkeys(rankings, 0)
    for i, query in enumerate(queries):  # the systems inside: they rank the same passages for a query
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
    """The first passages, as many as may have a token within the budget."""
    window: Window[PassageKey] = []
    fewest = 0
    for passage in ranking:
        if fewest >= budget:
            break
        known = passages.glance(passage)
        window.append((passage, known))
        fewest += known.fewest
    return window


def _hits(
    answers: Sequence[str], window: Window[PassageKey], budgets: Budgets, passages: PassageTokens[PassageKey]
) -> list[bool]:
    """For each budget. `last` is the first passage in which an answer may end: nothing before it needs a look."""
    last = _first_possible_end(answers, window)
    if last is None or _bound(window[:last], "fewest") >= budgets[-1]:
        return [False] * len(budgets)
    in_passage = tokens_to_answer(answers, passages.read(window[last][0])[0]) if window else None
    if in_passage is not None:
        for passage, _ in window[: last + 1]:
            fewest, most = (_bound(window[:last], bound) for bound in ("fewest", "most"))
            if not any(fewest < budget < most + in_passage for budget in budgets):
                return [most + in_passage <= budget for budget in budgets]
            passages.read(passage)  # makes its two bounds one
    needed = _tokens_needed(answers, window, last, budgets[-1], passages)
    return [needed is not None and needed <= budget for budget in budgets]


def _bound(window: Window[PassageKey], name: Literal["fewest", "most"]) -> int:
    return sum(getattr(known, name) for _, known in window)


def _first_possible_end(answers: Sequence[str], window: Window[PassageKey]) -> int | None:
    """By letters alone. An answer without letters may end anywhere."""
    everything = "".join(known.letters for _, known in window)
    ends = []
    for answer in map(letters, answers):
        start = everything.find(answer)
        if start >= 0:
            ends.append(start + len(answer))
    if not ends:
        return None
    if not min(ends):
        return 0
    passage_ends = list(accumulate(len(known.letters) for _, known in window))
    return bisect_right(passage_ends, min(ends) - 1)


def _tokens_needed(
    answers: Sequence[str], window: Window[PassageKey], last: int, budget: int, passages: PassageTokens[PassageKey]
) -> int | None:
    """The least number of tokens of the ranking that hold an answer; above the budget, or None, if that many don't."""
    tokens: list[str] = []
    number = 0
    for i, (passage, _) in enumerate(window):
        joined, count = passages.read(passage)
        if count:
            tokens.append(joined)
        number += count
        if number >= budget:
            break
        if i == last:  # mostly it is there, and the passages after it are never tokenised
            needed = tokens_to_answer(answers, " ".join(tokens))
            if needed is not None:
                return needed
    return tokens_to_answer(answers, " ".join(tokens))


def tokens_to_answer(answers: Sequence[str], tokens: str) -> int | None:
    """How many of the tokens, joined by blanks, the answer takes that is complete first; None if none is there."""
    ends = []
    for answer in answers:
        start = tokens.find(answer)
        if start >= 0:
            ends.append(start + len(answer))
    return tokens.count(" ", 0, min(ends)) + 1 if ends else None


def _is_short(window: Window[PassageKey], budget: int, passages: PassageTokens[PassageKey]) -> bool:
    """A window that does not stop before its ranking ends may hold fewer tokens than the budget."""
    if sum(known.fewest for _, known in window) >= budget:
        return False
    return sum(known.most for _, known in window) < budget or sum(passages.read(passage)[1] for passage, _ in window) < budget
