"""From rankings to values by query, for every system and metric."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xdr.errors import UserError
from xdr.evaluation.answer_recall import answer_recall, span_answers
from xdr.evaluation.metric_names import ANSWER_RECALL, Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.ranking_metrics import metric_values, relevant_ranks
from xdr.text.records import Judgement, Query


@dataclass(frozen=True)
class Gold:
    """What the metrics judge by. `relevance[i]`: passages, by row of the collection, that were judged for `queries[i]`."""

    queries: Sequence[Query]
    relevance: Sequence[Mapping[Hashable, int]]

    @property
    def has_judgements(self) -> bool:
        return any(relevance > 0 for its in self.relevance for relevance in its.values())

    @property
    def has_answers(self) -> bool:
        return any(span_answers(query) for query in self.queries)


def gold(
    queries: Sequence[Query], judgements: Iterable[Judgement], rows: Callable[[Sequence[str]], Sequence[int | None]]
) -> Gold:
    """Judgements of passages that the collection lacks have been refused or counted before."""
    judgements = list(judgements)
    by_query: dict[str, dict[Hashable, int]] = defaultdict(dict)
    for judgement, row in zip(judgements, rows([j.passage_id for j in judgements]), strict=True):
        if row is not None:
            by_query[judgement.query_id][row] = judgement.relevance
    return Gold(queries, [by_query.get(query.query_id, {}) for query in queries])


def usable(metrics: Sequence[Metric], judged_by: Gold) -> tuple[list[Metric], list[str]]:
    """The metrics that some query has a value of, and a sentence about the others."""
    kept, warnings = [], []
    for metric in metrics:
        if metric.measure == ANSWER_RECALL and not judged_by.has_answers:
            warnings.append(f"{metric.name} is left out: no query has an answer other than yes and no")
        elif metric.measure != ANSWER_RECALL and not judged_by.has_judgements:
            warnings.append(f"{metric.name} is left out: no passage is judged relevant for any query")
        else:
            kept.append(metric)
    if not kept:
        raise UserError("no metric can be computed: " + "; ".join(warnings))
    return kept, warnings


def score(
    judged_by: Gold,
    rankings: Mapping[str, Sequence[Sequence[int]]],
    metrics: Sequence[Metric],
    text_of: Callable[[int], str],
) -> tuple[dict[str, PerQuery], list[str]]:
    """By system; `rankings[system][i]` are rows of the collection, best first. Also what is to be said about the figures."""
    queries, warnings = judged_by.queries, []
    budgets = [metric.cutoff for metric in metrics if metric.measure == ANSWER_RECALL and metric.cutoff is not None]
    answers = answer_recall(queries, rankings, text_of, budgets) if budgets else {}
    if short := max((found.num_short for found in answers.values()), default=0):
        warnings.append(
            f"{short:,} of {len(queries):,} rankings hold fewer than {max(budgets):,} tokens: with a larger search.depth "
            f"R@{max(budgets) // 1000}kt could only be higher"
        )
    systems = {}
    for system, ranked in rankings.items():
        values = {}
        relevant = relevant_ranks(ranked, judged_by.relevance)
        for metric in metrics:
            if metric.measure == ANSWER_RECALL:
                assert metric.cutoff is not None
                values[metric.name] = answers[system].values[metric.cutoff]
            else:
                values[metric.name] = metric_values(metric, relevant)
        systems[system] = PerQuery(tuple(q.query_id for q in queries), tuple(q.language for q in queries), values)
    first = next(iter(systems.values()))
    for metric in metrics:
        if without := int(np.isnan(first.values[metric.name]).sum()):
            warnings.append(f"{metric.name}: {without:,} of {len(queries):,} queries have no value and are left out")
    return systems, warnings


def first_gold_ranks(judged_by: Gold, ranked: Sequence[Sequence[int]]) -> list[int | None]:
    """The rank, from 1, of each query's best placed relevant passage; None where none was retrieved."""
    best_Q = relevant_ranks(ranked, judged_by.relevance).ranks_QG.min(axis=1, initial=np.inf)
    return [None if np.isinf(rank) else int(rank) for rank in best_Q]
