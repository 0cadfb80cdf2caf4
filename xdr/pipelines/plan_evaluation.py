"""The plan of an evaluation: passages encoded, all queries searched in random vectors, random rankings scored.

Q queries, G groups of sums, N passages, D dimensions, K ranks.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from xdr.encoders.encoder import Encoder
from xdr.pipelines.report_evaluation import write_answer
from xdr.retrieval.gathering import own_shards
from xdr.retrieval.rankings import Rankings, write_run
from xdr.retrieval.search import search
from xdr.sharding.encode import EncodingJob, encode_into, prepared
from xdr.sharding.memory import TO_ENCODE, measured_memory
from xdr.sharding.plan import (
    PlannedStage,
    Term,
    measured_time,
    plan_table,
    refuse_what_cannot_fit,
    seconds_of,
    spaced,
)
from xdr.sharding.shard_module import run_probe
from xdr.sharding.shards import Shards
from xdr.storage.ledger import ShardLedger
from xdr.tasks.retrieval_task import RetrievalTask
from xdr.vectors.embedding_writer import create_embeddings, writing_shard
from xdr.vectors.generated_sums import ROWS_AT_ONCE, sum_generated_passages
from xdr.vectors.layout import Layout

_SEARCH_BYTES = 3e7
"""Of the random vectors that are searched."""


def plan_evaluation(
    job: EncodingJob,
    ledger: ShardLedger,
    task: RetrievalTask | None,
    headline: str,
    runs: bool,
    trainer_settings: dict[str, Any],
    console: Console,
    sentences: tuple[EncodingJob, ShardLedger] | None,
) -> None:
    """Prints the plan, and refuses a job that cannot fit. Without a task, only encoding is planned."""
    stages: list[PlannedStage] = []
    shards = Shards(job.store, ledger, job.settings.shard_size)

    if task is not None and task.correcting is not None:
        task = replace(task, correcting=None)
        console.print("The correction is not planned: it takes about as long as a search for as many queries", style="yellow")

    if task is not None and task.reranking is not None:
        task = replace(task, reranking=None)
        console.print("The reranking is not planned", style="yellow")

    def probe(device: torch.device, rank: int, processes: int) -> None:
        encoder = prepared(job)
        stages.append(_plan_encoding(job, shards, encoder, device, processes))
        if sentences is not None:
            of_sentences = Shards(job.store, sentences[1], job.settings.shard_size)
            stages.append(_plan_encoding(sentences[0], of_sentences, encoder, device, processes, "encoding sentences"))
        if task is not None and task.index is None:
            stages.append(_plan_search(task, encoder, shards, device, processes))
        if task is not None and rank == 0:
            stages.append(_plan_scoring(task, job, headline, runs, device))

    towers = nn.ModuleList([job.queries] if job.passages is None else [job.queries, job.passages])
    run_probe(towers, probe, trainer_settings, TO_ENCODE)
    console.print(plan_table(stages))
    if task is not None and task.index is not None:
        console.print("The search is not planned: faiss spends most of its time on building the index", style="yellow")
    refuse_what_cannot_fit(stages, "artifacts_dir")


def _plan_encoding(
    job: EncodingJob, shards: Shards, encoder: Encoder, device: torch.device, processes: int, name: str = "encoding"
) -> PlannedStage:
    def encode(number: int) -> float:
        rows = spaced(len(job.store), number)
        passages = [job.store[row] for row in rows]
        generated = [next(job.generated.slice(row, row + 1)) for row in rows] if job.generated else []

        def write() -> None:
            with writing_shard(scratch, 0, [passage.passage_id for passage in passages]) as writer:
                encode_into(writer, passages, generated, encoder, job, lambda number: None)

        with _scratch_ledger(shards.ledger, job.layout()) as scratch:
            return seconds_of(write)

    most = min(len(job.store), job.settings.shard_size, 4 * ROWS_AT_ONCE)
    time = measured_time(encode, shards.most_of_one(processes), "passages", most=most)
    disk = [Term(shards.num_missing(), "passages", job.layout().bytes_per_row)]
    return PlannedStage(name, time, disk, shards.ledger.folder, measured_memory(device), processes)


def _plan_search(task: RetrievalTask, encoder: Encoder, shards: Shards, device: torch.device, processes: int) -> PlannedStage:
    """Each process encodes all queries and searches its own shards for them. Random vectors take as long as others. A search
    for the single best passage shows what a row takes; the rest of a search to the full depth is spent on candidates, whose
    number grows with the logarithm of the rows."""
    texts, random, dimension = task.query_texts, np.random.default_rng(0), task.layout.dimension
    num_rankings = len(texts) * len(task.systems.on_queries)
    queries_QD = random.standard_normal((num_rankings, dimension), np.float32)

    def encode(number: int) -> float:
        rows = spaced(len(texts), number)
        seconds = seconds_of(lambda: encoder.encode_queries([texts[row] for row in rows]))
        if task.hyde is None:
            return seconds
        generated, layout = task.hyde.generated, Layout(dimension, "total", task.hyde.languages)
        some, most = [next(generated.slice(row, row + 1)) for row in rows], task.hyde.number
        return seconds + seconds_of(lambda: sum_generated_passages(encoder, some, layout, most))

    def search_random(depth: int) -> float:
        probed = replace(task, ledger=scratch)
        return seconds_of(
            lambda: search(probed.embeddings, queries_QD, probed.searched_families(planned=True), depth, device=device.type)
        )

    own_rows = max(
        sum(stop - start for start, stop in map(shards.rows, own_shards(shards.ledger.num_shards, rank, processes)))
        for rank in range(processes)
    )
    num_rows = min(own_rows, max(2 * task.depth, int(_SEARCH_BYTES / task.layout.bytes_per_row)))
    depth = min(task.depth, num_rows)
    with _scratch_ledger(task.ledger, task.layout) as scratch:
        _write_random(scratch, task.layout, num_rows, random)
        whole, each_row = search_random(depth), search_random(1) / num_rows
    candidates = (1 + math.log(own_rows / depth)) / (1 + math.log(num_rows / depth))
    each_ranking = max(0.0, whole - each_row * num_rows) * candidates / num_rankings
    unit = "queries with their generated passages" if task.hyde is not None else "queries"
    time = [
        *measured_time(encode, len(texts), unit, most=min(len(texts), ROWS_AT_ONCE)),
        Term(own_rows, f"passages, for {num_rankings:,} queries,", each_row),
        Term(num_rankings, "rankings", each_ranking),
    ]
    return PlannedStage("search", time, [], task.ledger.folder, measured_memory(device), processes)


def _plan_scoring(task: RetrievalTask, job: EncodingJob, headline: str, runs: bool, device: torch.device) -> PlannedStage:
    total, random, num_bytes = len(task.query_texts), np.random.default_rng(0), 0
    task = replace(task, noisy=None)

    def score(number: int) -> float:
        nonlocal num_bytes
        rows = spaced(len(task.qrels.queries), number)
        queries, relevance = [task.qrels.queries[row] for row in rows], [task.qrels.relevance[row] for row in rows]
        some = replace(task, qrels=replace(task.qrels, queries=queries, relevance=relevance), others={})
        rankings = {system: _random_rankings(some, random) for system in some.systems.roles}

        def write() -> None:
            write_answer(some, some.scored(rankings), job, headline, False, folder)
            for system, ranking in rankings.items() if runs else ():
                ids = [query.query_id for query in queries]
                write_run(folder / f"{system}.trec", ids, ranking, lambda rows: [str(row) for row in rows], system)

        with tempfile.TemporaryDirectory(prefix=".plan-", dir=task.ledger.folder.parent) as name:
            folder = Path(name)
            seconds = seconds_of(write)
            num_bytes = sum(file.stat().st_size for file in folder.iterdir()) // number
        return seconds

    time = measured_time(
        score,
        total,
        f"queries, {len(task.systems.roles)} systems, {len(task.metrics)} metrics,",
        32,
        min(2048, len(task.qrels.queries)),
        math.inf,
    )
    disk = [Term(total, "queries", num_bytes)]
    return PlannedStage("scoring", time, disk, task.ledger.folder, measured_memory(device))


def _random_rankings(task: RetrievalTask, random: np.random.Generator) -> Rankings:
    """Consecutive passages, with a relevant one at a random rank: metrics that read texts read them down to there."""
    num_queries, depth, num_passages = len(task.qrels.queries), task.depth, len(task.store)
    relevant_Q = [next((row for row, grade in judged.items() if grade > 0), 0) for judged in task.qrels.relevance]
    first_Q = np.array(relevant_Q) - random.integers(depth, size=num_queries)
    rows_QK = (first_Q[:, None] + np.arange(depth)) % num_passages
    return Rankings(np.tile(-np.arange(depth, dtype=np.float32), (num_queries, 1)), rows_QK)


@contextmanager
def _scratch_ledger(ledger: ShardLedger, layout: Layout) -> Iterator[ShardLedger]:
    """Of one shard, on the disk of the job's embeddings."""
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=ledger.folder.parent) as name:
        yield create_embeddings(Path(name), 1, layout, {})


def _write_random(ledger: ShardLedger, layout: Layout, num_rows: int, random: np.random.Generator) -> None:
    with writing_shard(ledger, 0, [str(row) for row in range(num_rows)]) as writer:
        for start in range(0, num_rows, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, num_rows))
            vectors_GND = random.random((1 + len(layout.groups), rows.stop - start, layout.dimension), np.float32) - 0.5
            counts_GN = np.ones(vectors_GND.shape[:2], np.int64)
            writer.put(rows, vectors_GND[0], *((vectors_GND[1:], counts_GN[1:]) if layout.groups else ()))
