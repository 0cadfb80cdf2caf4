"""Labels of retrieved passages, and the training set that they make: what a mining loop trains on. Needs no torch.

A passage is positive if every rule that is asked for says so: it contains an answer (CORA, Sentri), its score reaches a
threshold (QuiCK, UMR). It is negative if no rule says so and its score stays clear of the positives' (NV-Retriever, arXiv
2407.15831). All others are left out: they may answer the query without being known to.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdr.errors import UserError
from xdr.evaluation.answer_recall import span_answers, tokens_to_answer
from xdr.evaluation.word_tokens import PassageTokens, letters
from xdr.storage.files import replacing_file
from xdr.text.records import Passage, Query, TrainingExample


@dataclass(frozen=True)
class LabelRules:
    """`answers`: a positive contains an answer. `threshold`: its score is at least that. A negative's score is at most `margin`
    times the size of the lowest positive score below it: (1 - margin) times that score, where it is above zero."""

    answers: bool
    threshold: float | None
    margin: float
    most_positives: int
    most_negatives: int

    def __post_init__(self) -> None:
        if not self.answers and self.threshold is None:
            raise UserError("threshold must be a number where answers is false, got null: nothing else says what is positive")
        if self.margin < 0:
            raise UserError(f"margin must be at least 0, got {self.margin}")
        for name in ("most_positives", "most_negatives"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")

    def ceiling(self, positive_score: float) -> float:
        """The highest score of a negative beside a positive with this score."""
        return positive_score - self.margin * abs(positive_score)


@dataclass
class LabelCounts:
    """Of passages by label, and of queries that were left out because no passage was positive, or none negative."""

    passages: Counter[str] = field(default_factory=Counter)
    queries: Counter[str] = field(default_factory=Counter)


class AnswerMatcher:
    """Whether a passage's text contains an answer to a query, by the tokens of R@kt. `yes` and `no` are no answers."""

    def __init__(self, passages: Callable[[str], Passage]) -> None:
        self._tokens: PassageTokens[str] = PassageTokens(lambda passage_id: passages(passage_id).text)

    def __call__(self, query: Query, passage_id: str) -> bool:
        answers = span_answers(query)
        own = self._tokens.bounds(passage_id).letters
        if not any(letters(answer) in own for answer in answers):
            return False
        return tokens_to_answer(answers, self._tokens.tokens(passage_id)[0]) is not None


def labelled_examples(
    queries: Iterable[Query],
    run: Mapping[str, Mapping[str, float]],
    passages: Callable[[str], Passage],
    rules: LabelRules,
    counts: LabelCounts,
    scores: Mapping[str, Mapping[str, float]] | None = None,
    relevant: Mapping[str, Collection[str]] | None = None,
) -> Iterator[TrainingExample]:
    """Training examples from a run, whose passages descend by score; `passages` returns the passage of an id. `scores` are a
    teacher's; without them the run's count, and the examples have none. Passages that the teacher did not score are left out.
    `relevant` are the ids of passages that are known to answer a query: they are positive whatever the rules say."""
    has_answer = AnswerMatcher(passages)
    for query in queries:
        ranked, judged = run.get(query.query_id, {}), (run if scores is None else scores).get(query.query_id, {})
        known = (relevant or {}).get(query.query_id, ())
        candidates = {key: judged[key] for key in ranked if key in judged}
        positives, negatives = _labels(query, candidates, known, rules, has_answer, counts)
        if not positives or not negatives:
            counts.queries["without positives" if not positives else "without negatives"] += 1
            continue
        counts.queries["kept"] += 1
        own, others = positives[: rules.most_positives], negatives[: rules.most_negatives]
        yield TrainingExample(
            query,
            tuple(map(passages, own)),
            tuple(map(passages, others)),
            tuple(judged[passage_id] for passage_id in own) if scores is not None else (),
            tuple(judged[passage_id] for passage_id in others) if scores is not None else (),
        )


def _labels(
    query: Query,
    scores: Mapping[str, float],
    relevant: Collection[str],
    rules: LabelRules,
    has_answer: Callable[[Query, str], bool],
    counts: LabelCounts,
) -> tuple[list[str], list[str]]:
    """The ids of positives and of negatives, each in the order of the scores' keys."""
    positives: list[str] = []
    rest: list[str] = []
    for passage_id, score in scores.items():
        answers = has_answer(query, passage_id)
        reaches = rules.threshold is not None and score >= rules.threshold
        fits = (answers or not rules.answers) and (reaches or rules.threshold is None)
        if fits or passage_id in relevant:
            positives.append(passage_id)
        elif answers or reaches:  # an answer speaks against a negative, whatever the rules for positives
            counts.passages["the rules disagree"] += 1
        else:
            rest.append(passage_id)
    ceiling = rules.ceiling(min((scores[passage_id] for passage_id in positives), default=0.0))
    negatives = [passage_id for passage_id in rest if scores[passage_id] <= ceiling] if positives else []
    counts.passages += Counter({"positive": len(positives), "negative": len(negatives)})
    counts.passages["too near to a positive" if positives else "without a positive"] += len(rest) - len(negatives)
    return positives, negatives


def write_examples(path: Path, examples: Iterable[TrainingExample]) -> None:
    """Tevatron's JSON lines: the `train.jsonl` of a collection folder, or a file of data=tevatron."""
    with replacing_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            query = example.query
            row: dict[str, Any] = {"query_id": query.query_id, "query": query.text, "lang": query.language}
            row["answers"] = list(query.answers)
            row["positive_passages"] = _rows(example.positives, example.positive_scores)
            row["negative_passages"] = _rows(example.negatives, example.negative_scores)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rows(passages: tuple[Passage, ...], scores: tuple[float, ...]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"docid": one.passage_id, "title": one.title, "text": one.text, "lang": one.language} for one in passages
    ]
    return [{**row, "score": score} for row, score in zip(rows, scores, strict=True)] if scores else rows
