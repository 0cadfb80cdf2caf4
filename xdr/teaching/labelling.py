"""Labels of retrieved passages, and the training set that they make: what a mining loop trains on. Needs no torch.

A passage is positive if it is known to answer the query, or if every rule that is asked for says so: it contains an answer
(CORA, Sentri), its score reaches a threshold (QuiCK, UMR). It is negative if no rule says so and its score stays clear of the
positives' (NV-Retriever, arXiv 2407.15831). All others are left out: they may answer the query without being known to.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdr.evaluation.answer_recall import span_answers, tokens_to_answer
from xdr.evaluation.word_tokens import PassageTokens, letters
from xdr.storage.files import replacing_file
from xdr.teaching.settings import LabelRules
from xdr.text.records import Passage, Query, TrainingExample


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
    `relevant` are the ids of passages that are known to answer a query: they are the first positives, whatever the rules say
    and also where the run lacks them."""
    has_answer = AnswerMatcher(passages)
    for query in queries:
        ranked, judged = run.get(query.query_id, {}), (run if scores is None else scores).get(query.query_id, {})
        known = [key for key in (relevant or {}).get(query.query_id, ()) if scores is None or key in judged]
        candidates = {key: judged[key] for key in (*known, *ranked) if key in judged}
        own, others = _labels(query, candidates, known, rules, has_answer, counts)
        if not own or not others:
            counts.queries["without positives" if not own else "without negatives"] += 1
            continue
        counts.queries["kept"] += 1
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
    known: Sequence[str],
    rules: LabelRules,
    has_answer: Callable[[Query, str], bool],
    counts: LabelCounts,
) -> tuple[list[str], list[str]]:
    """The ids of positives, the known ones first, and of negatives: as many as are kept."""
    positives: list[str] = list(known)
    rest: list[str] = []
    for passage_id, score in scores.items():
        if passage_id in known:
            continue
        answers = has_answer(query, passage_id)
        reaches = rules.threshold is not None and score >= rules.threshold
        if (answers or not rules.answers) and (reaches or rules.threshold is None):
            positives.append(passage_id)
        elif answers or reaches:  # an answer speaks against a negative, whatever the rules for positives
            counts.passages["the rules disagree"] += 1
        else:
            rest.append(passage_id)
    kept = positives[: rules.most_positives]
    ceiling = rules.ceiling([scores[passage_id] for passage_id in kept if passage_id in scores])
    negatives = [passage_id for passage_id in rest if scores[passage_id] <= ceiling] if positives else []
    if positives and rest and not negatives:  # Without this, the questions that the model fails at would drop out.
        negatives = [min(rest, key=scores.__getitem__)]
        counts.queries["with one negative that is too near"] += 1
    counts.passages += Counter({"known to answer": len(known), "labelled positive": len(positives) - len(known)})
    counts.passages += Counter({"negative": len(negatives)})
    counts.passages["too near to a positive" if positives else "without a positive"] += len(rest) - len(negatives)
    return kept, negatives[: rules.most_negatives]


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
