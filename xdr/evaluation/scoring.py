"""Scores rankings: a value for each system, metric and query."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError
from xdr.evaluation.answer_recall import answer_recall, span_answers
from xdr.evaluation.language_pools import PassageLanguages, pool_values
from xdr.evaluation.metric_names import ANSWER_RECALL, CROSS, JUDGED, MONO, OF_POOLS, SPREAD, Metric, counts_ranks
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.ranking_metrics import Relevance, Values, metric_values, relevant_ranks
from xdr.text.records import Judgement, Query

RankedRows = NDArray[np.int64]
"""(Q, K): rows of the collection for each query, best first."""


@dataclass(frozen=True)
class Qrels:
    """Queries with the passages that were judged for them. `relevance[i]` maps rows of the collection to relevance."""

    queries: Sequence[Query]
    relevance: Sequence[Relevance]
    passages: PassageLanguages

    @property
    def has_judgements(self) -> bool:
        return any(value > 0 for relevance in self.relevance for value in relevance.values())

    @property
    def has_answers(self) -> bool:
        return any(span_answers(query) for query in self.queries)


def qrels_of(
    queries: Sequence[Query],
    judgements: Iterable[Judgement],
    rows: Callable[[Sequence[str]], Sequence[int | None]],
    passages: PassageLanguages,
) -> Qrels:
    """Skips judgements of passages that the collection lacks; `check_judgements` refused or counted them before."""
    judgements = list(judgements)
    by_query: dict[str, dict[int, int]] = defaultdict(dict)
    for judgement, row in zip(judgements, rows([j.passage_id for j in judgements]), strict=True):
        if row is not None:
            by_query[judgement.query_id][row] = judgement.relevance
    return Qrels(queries, [by_query.get(query.query_id, {}) for query in queries], passages)


def usable(metrics: Sequence[Metric], qrels: Qrels, depth: int) -> tuple[list[Metric], list[str]]:
    """The metrics that at least one query has a value of, in rankings of `depth` passages, and warnings about the others."""
    reasons = {metric: _why_not(metric, qrels, depth) for metric in metrics}
    kept = [metric for metric, reason in reasons.items() if not reason]
    warnings = [f"{metric.name} is left out: {reason}" for metric, reason in reasons.items() if reason]
    if all(counts_ranks(metric.name) for metric in kept):
        raise UserError("no metric can be the headline: " + ("; ".join(warnings) or f"{SPREAD} is the only one"))
    cut = [metric.name for metric in kept if metric.measure in (MONO, CROSS)]
    if cut and depth < len(qrels.passages.of_row_P):
        warnings.append(
            f"{' and '.join(cut)}: relevant passages below rank {depth:,} of all languages count 0. search.depth=0 ranks all "
            "passages"
        )
    return kept, warnings


def _why_not(metric: Metric, qrels: Qrels, depth: int) -> str:
    if metric.measure == ANSWER_RECALL:
        return "" if qrels.has_answers else "no query has an answer (yes and no do not count)"
    if not qrels.has_judgements:
        return "no passage is judged relevant for any query"
    if metric.measure in OF_POOLS:
        return _why_no_pools(metric.measure, qrels, depth)
    return ""


def _why_no_pools(measure: str, qrels: Qrels, depth: int) -> str:
    if measure in (SPREAD, JUDGED) and depth < len(qrels.passages.of_row_P):
        return f"it needs complete rankings, and these have {depth:,} passages. search.depth=0 ranks all passages"
    relevant = [set(qrels.passages.of_relevant(relevance).values()) for relevance in qrels.relevance]
    pairs = [(query.language, languages) for query, languages in zip(qrels.queries, relevant, strict=True)]
    if measure == MONO and not any(own in languages for own, languages in pairs):
        return "no query has a relevant passage in its own language"
    if measure == CROSS and not any(languages - {own} for own, languages in pairs):
        return "no query has a relevant passage in another language"
    if measure == SPREAD and not any(len(languages) > 1 for languages in relevant):
        return "no query has relevant passages in two languages"
    return ""


def score_rankings(
    qrels: Qrels,
    rankings: Mapping[str, RankedRows],
    metrics: Sequence[Metric],
    text_of: Callable[[int], str],
) -> tuple[dict[str, PerQuery], list[str]]:
    """The values of each system, and warnings about them."""
    queries, warnings = qrels.queries, []
    budgets = [metric.cutoff for metric in metrics if metric.measure == ANSWER_RECALL and metric.cutoff is not None]
    lists = {system: ranked.tolist() for system, ranked in rankings.items()} if budgets else {}
    answers = answer_recall(queries, lists, text_of, budgets) if budgets else {}
    complete = all(ranked.shape[1] == len(qrels.passages.of_row_P) for ranked in rankings.values())
    if not complete and (short := max((recall.num_short for recall in answers.values()), default=0)):
        warnings.append(
            f"{short:,} of {len(queries):,} rankings hold fewer than {max(budgets):,} tokens: "
            f"R@{max(budgets) // 1000}kt may rise with a larger search.depth"
        )
    systems = {}
    for system, ranked in rankings.items():
        values = _values_by_qrels(metrics, ranked, qrels)
        values |= {Metric(ANSWER_RECALL, budget).name: answers[system].values[budget] for budget in budgets}
        values = {metric.name: values[metric.name] for metric in metrics}
        systems[system] = PerQuery(tuple(q.query_id for q in queries), tuple(q.language for q in queries), values)
    first = next(iter(systems.values()))
    for metric in metrics:
        if without := int(np.isnan(first.values[metric.name]).sum()):
            warnings.append(f"{metric.name}: {without:,} of {len(queries):,} queries have no value and are left out")
    return systems, warnings


def _values_by_qrels(metrics: Sequence[Metric], ranked: RankedRows, qrels: Qrels) -> dict[str, Values]:
    relevant = relevant_ranks(ranked, qrels.relevance)
    from_all = [metric for metric in metrics if metric.measure not in (ANSWER_RECALL, *OF_POOLS)]
    from_pools = [metric.name for metric in metrics if metric.measure in OF_POOLS]
    return {metric.name: metric_values(metric, relevant) for metric in from_all} | pool_values(
        from_pools, ranked, qrels.relevance, [query.language for query in qrels.queries], qrels.passages
    )


def first_relevant_ranks(qrels: Qrels, ranked: RankedRows) -> list[int | None]:
    """The rank, from 1, of the first relevant passage of each query; None if none was retrieved."""
    best_Q = relevant_ranks(ranked, qrels.relevance).ranks_QG.min(axis=1, initial=np.inf)
    return [None if np.isinf(rank) else int(rank) for rank in best_Q]
