"""What scoring, testing and reporting will take: the work itself, of made-up rankings of as many queries as the budget allows.

Nobody knows yet where the answers will stand, and for R@2kt it matters: passages before an answer may have to be tokenised. A
third of the queries find none, the others at a rank whose logarithm is uniform: half of them among the first ten of a hundred.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.evaluation.answer_recall import span_answers
from xdr.evaluation.per_query import PerQuery
from xdr.pipelines.encode import EncodingJob
from xdr.pipelines.plan import PlannedStage, Term, peak_memory, spaced, timed_probe
from xdr.pipelines.report_evaluation import write_answer
from xdr.pipelines.retrieval_task import RetrievalTask
from xdr.retrieval.rankings import Rankings, write_run

_FIRST_QUERIES = 32
_FOUND = 2 / 3


def plan_scoring(task: RetrievalTask, job: EncodingJob, headline: str, runs: bool, device: torch.device) -> PlannedStage:
    number, random = len(task.qrels.queries), np.random.default_rng(0)
    took: dict[int, float] = {}
    num_bytes = 0.0

    def score_some(number_now: int) -> float:
        nonlocal num_bytes
        some, wanted = _of_some_queries(task, number_now, random)
        rankings = made_up_rankings(some.systems, wanted, some.depth, len(some.store), number_now / number, random)
        ids = [query.query_id for query in some.qrels.queries]
        with tempfile.TemporaryDirectory(dir=task.ledger.folder.parent) as name:
            start = time.perf_counter()
            write_answer(some, some.scored(rankings), job, headline, False, Path(name))
            for system, found in rankings.items() if runs else ():
                write_run(Path(name) / f"{system}.trec", ids, found, lambda rows: [str(row) for row in rows], system)
            took[number_now] = time.perf_counter() - start
            num_bytes = sum(file.stat().st_size for file in Path(name).iterdir()) / number_now
        return took[number_now]

    few = min(_FIRST_QUERIES, number)
    found = timed_probe(score_some, few, number)
    many, each = found.number, found.each
    if many > few:  # what few queries take is mostly what any number takes: samples are drawn for every language
        each = max(0.0, (took[many] - took[few]) / (many - few))
    what = f"queries, {len(task.systems)} systems, {len(task.metrics)} metrics,"
    terms = [Term(1, "start", found.start + took[many] - each * many), Term(number, what, each)]
    return PlannedStage("scoring", terms, [Term(number, "queries", num_bytes)], task.ledger.folder, *peak_memory(device))


def made_up_rankings(
    systems: Sequence[str],
    wanted: Sequence[Sequence[int]],
    depth: int,
    num_passages: int,
    share: float,
    random: np.random.Generator,
) -> dict[str, Rankings]:
    """Any passages, of which two systems share nine of ten; and those that each query wants, at a rank that is drawn for every
    system. Where these are but a share of the queries, it is of as small a share of the passages: each is then ranked for as
    many queries as if all were there."""
    shape, width = (len(wanted), 1), min(num_passages, depth + depth // 10)
    number = max(width, int(num_passages * share))
    firsts_Q1, steps_Q1 = random.integers(number, size=shape), random.integers(1, number // width + 1, shape)
    rankings = {}
    for system in systems:
        places_K = np.sort(random.choice(width, depth, replace=False))
        rows_QK = (firsts_Q1 + steps_Q1 * places_K) % number * num_passages // number
        for ranking_K, rows in zip(rows_QK, wanted, strict=True):
            for row in rows:
                _place(ranking_K, row, int(depth ** (random.random() / _FOUND)))
        rankings[system] = Rankings(np.tile(-np.arange(depth, dtype=np.float32), shape), rows_QK)
    return rankings


def _place(ranking_K: NDArray[np.int64], row: int, rank: int) -> None:
    """From 1; nowhere, if it is below the ranking. No passage comes to stand there twice."""
    if rank > len(ranking_K):
        return
    ranking_K[ranking_K == row] = ranking_K[rank - 1]
    ranking_K[rank - 1] = row


def _of_some_queries(
    task: RetrievalTask, number: int, random: np.random.Generator
) -> tuple[RetrievalTask, list[Sequence[int]]]:
    """Of all languages; and the passages that each wants: the relevant ones, or one whose words are then its answer."""
    rows = spaced(len(task.qrels.queries), number)
    queries = [task.qrels.queries[row] for row in rows]
    relevance = [task.qrels.relevance[row] for row in rows]
    wanted: list[Sequence[int]] = [[row for row, judged in its.items() if judged > 0] for its in relevance]
    for place, query in enumerate(queries):
        if not wanted[place] and span_answers(query):
            row = int(random.integers(len(task.store)))
            wanted[place] = [row]
            words = task.store[row].text.split()
            queries[place] = replace(query, answers=(" ".join(words[len(words) // 2 :][:2]),))
    ids = {query.query_id for query in queries}
    others = {name: _of_queries(values, ids) for name, values in task.others.items()}
    return replace(task, qrels=replace(task.qrels, queries=queries, relevance=relevance), others=others), wanted


def _of_queries(values: PerQuery, ids: set[str]) -> PerQuery:
    rows = [row for row, query_id in enumerate(values.query_ids) if query_id in ids]
    return PerQuery(
        tuple(values.query_ids[row] for row in rows),
        tuple(values.languages[row] for row in rows),
        {metric: its[rows] for metric, its in values.values.items()},
    )
