"""Evaluation and comparison of runs in memory, for notebooks and scripts. The pipelines' metrics and tests do the work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from xdr.comparison.significance import Comparison, compare_systems
from xdr.data import qrels as qrels_file
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.evaluation.metric_names import ANSWER_RECALL, OF_POOLS, parse_metrics
from xdr.evaluation.per_query import MACRO, PerQuery
from xdr.evaluation.ranking_metrics import metric_values, relevant_ranks
from xdr.retrieval.trec_runs import best_first

Ranked: TypeAlias = Mapping[str, Mapping[str, float]]
"""query id -> passage id -> score"""
Relevance: TypeAlias = Mapping[str, Mapping[str, int]]
"""query id -> passage id -> relevance"""


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Reads TREC judgements (`query_id 0 passage_id relevance`) as `{query_id: {passage_id: relevance}}`.

    >>> _ = open("example.tsv", "w").write("q1 0 p7 1")
    >>> read_qrels("example.tsv")
    {'q1': {'p7': 1}}
    """
    qrels: dict[str, dict[str, int]] = {}
    for judgement in qrels_file.read_qrels(path, Problems(strict=True)):
        qrels.setdefault(judgement.query_id, {})[judgement.passage_id] = judgement.relevance
    return qrels


def evaluate(
    run: Ranked, qrels: Relevance, metrics: str | Sequence[str], languages: Mapping[str, str] | None = None
) -> PerQuery:
    """Scores each query of the qrels: `recall@100`, `success@10`, `MRR@10`, `nDCG@10`, `MAP`, `MAP@20`.

    Passages count by score, ties by passage id. A query that the run lacks scores 0. `languages` maps query ids to languages;
    with them, `macro` is the mean over languages of the means over queries, without them the mean over queries. The values of
    single queries are in `values`, in the order of `query_ids`.

    >>> scores = evaluate({"q1": {"a": 2.0, "b": 1.0}, "q2": {"a": 1.0}}, {"q1": {"b": 1}, "q2": {"a": 1}}, ["MRR@10"])
    >>> scores.macro
    {'MRR@10': 0.75}
    >>> scores.values["MRR@10"].tolist()
    [0.5, 1.0]
    """
    parsed = parse_metrics([metrics] if isinstance(metrics, str) else metrics)
    if by_text := [metric.name for metric in parsed if metric.measure in (ANSWER_RECALL, *OF_POOLS)]:
        raise UserError(f"metrics must need only a run and qrels, got {by_text[0]}. evaluate.py computes it")
    if not qrels:
        raise UserError("qrels must have at least one query, got none")
    if languages is not None and (missing := [query_id for query_id in qrels if query_id not in languages]):
        raise UserError(f"languages must have every query of the qrels, got none for {missing[0]}")
    rankings = [list(best_first(run.get(query_id, {}))) for query_id in qrels]
    relevant = relevant_ranks(rankings, list(qrels.values()))
    named = tuple("all" if languages is None else languages[query_id] for query_id in qrels)
    return PerQuery(tuple(qrels), named, {metric.name: metric_values(metric, relevant) for metric in parsed})


def compare(
    baseline: Ranked,
    system: Ranked,
    qrels: Relevance,
    metrics: str | Sequence[str],
    languages: Mapping[str, str] | None = None,
    *,
    num_samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
    clusters: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Tests whether `system` scores higher than `baseline`, with tests paired by query, one comparison for each metric.

    A comparison has the mean difference, its bootstrap confidence interval, and the two-sided p of the paired t-test and of
    sign-flip randomisation. With `languages`, there is one for each language and then one for the mean over languages; the p
    of a metric are corrected by Holm's method. `clusters` maps query ids to what is resampled instead of single queries, such
    as a question that is asked in ten languages.

    >>> qrels = {f"q{i}": {"a": 1} for i in range(8)}
    >>> worse, better = ({query: {"a": 2.0, "b": score} for query in qrels} for score in (3.0, 1.0))
    >>> (comparison,) = compare(worse, better, qrels, "MRR@10")
    >>> comparison.mean_difference, comparison.p["sign-flip randomisation"]
    (0.5, 0.0078125)
    """
    systems = {name: evaluate(run, qrels, metrics, languages) for name, run in (("baseline", baseline), ("system", system))}
    if clusters is not None and (missing := [query_id for query_id in qrels if query_id not in clusters]):
        raise UserError(f"clusters must have every query of the qrels, got none for {missing[0]}")
    generator = np.random.default_rng(seed)
    comparisons = [
        comparison
        for metric in systems["baseline"].values
        for comparison in compare_systems(
            systems,
            "baseline",
            metric,
            num_samples=num_samples,
            confidence=confidence,
            generator=generator,
            clusters=clusters,
        )
    ]
    return comparisons if languages else [comparison for comparison in comparisons if comparison.language == MACRO]
