"""The plan of an evaluation: passages encoded, all queries searched in random vectors, some random rankings scored.

Q queries, G groups, N passages, D dimensions, K ranks.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from xdr.pipelines.encode import EncodingJob, encode_into, prepared
from xdr.pipelines.plan import (
    PlannedStage,
    Term,
    measured_time,
    peak_memory,
    plan_table,
    refuse_what_cannot_fit,
    seconds_of,
    spaced,
)
from xdr.pipelines.report_evaluation import write_answer
from xdr.pipelines.retrieval_task import RetrievalTask, own_shards
from xdr.pipelines.shard_module import run_probe
from xdr.pipelines.shards import Shards
from xdr.retrieval.collection_encoder import ROWS_AT_ONCE, Encoders
from xdr.retrieval.embedding_writer import create_embeddings, writing_shard
from xdr.retrieval.layout import Layout
from xdr.retrieval.rankings import Rankings, write_run
from xdr.retrieval.search import search
from xdr.storage.ledger import ShardLedger

_LARGEST_SEARCH = 3e8
"""Bytes of random vectors."""


def plan_evaluation(
    job: EncodingJob,
    ledger: ShardLedger,
    task: RetrievalTask | None,
    headline: str,
    runs: bool,
    trainer_settings: dict[str, Any],
    console: Console,
) -> None:
    """Prints the plan, and refuses a job that cannot fit. Without a task, only encoding is planned."""
    stages: list[PlannedStage] = []
    shards = Shards(job.store, ledger, job.settings.shard_size)

    def probe(device: torch.device, rank: int, processes: int) -> None:
        encoders = prepared(job)
        stages.append(_plan_encoding(job, shards, encoders, device, processes))
        if task is not None and task.index is None:
            stages.append(_plan_search(task, encoders, shards, device, processes))
        if task is not None and rank == 0:
            stages.append(_plan_scoring(task, job, headline, runs, device))

    towers = nn.ModuleList([job.queries] if job.passages is None else [job.queries, job.passages])
    run_probe(towers, probe, trainer_settings, "Lower search.tokens_per_batch, or set trainer.precision=bf16-true")
    console.print(plan_table(stages))
    if task is not None and task.index is not None:
        console.print("The search is not planned: faiss spends most of its time on building the index", style="yellow")
    refuse_what_cannot_fit(stages, "artifacts_dir")


def _plan_encoding(job: EncodingJob, shards: Shards, encoders: Encoders, device: torch.device, processes: int) -> PlannedStage:
    missing, layout = shards.num_missing(), job.layout()

    def encode(number: int) -> float:
        rows = spaced(len(job.store), number)
        passages = [job.store[row] for row in rows]
        generated = [next(job.generated.slice(row, row + 1)) for row in rows] if job.generated else []

        def write() -> None:
            with writing_shard(scratch, 0, [passage.passage_id for passage in passages]) as writer:
                encode_into(writer, passages, generated, encoders, job, lambda number: None)

        with _scratch_ledger(shards.ledger, layout) as scratch:
            return seconds_of(write)

    most = min(len(job.store), job.settings.shard_size, 4 * ROWS_AT_ONCE)
    time = measured_time(encode, shards.most_of_one(processes), "passages", most=most)
    disk = [Term(missing, "passages", layout.bytes_per_row)]
    return PlannedStage("encoding", time, disk, shards.ledger.folder, peak_memory(device), processes)


def _plan_search(
    task: RetrievalTask, encoders: Encoders, shards: Shards, device: torch.device, processes: int
) -> PlannedStage:
    """Each process encodes all queries and searches its own shards for them. Random vectors take as long as others."""
    texts, random = [query.text for query in task.qrels.queries], np.random.default_rng(0)
    num_rankings = len(texts) * (len(task.systems) if task.fuses_queries else 1)
    queries_QD = random.standard_normal((num_rankings, task.layout.dimension), np.float32)

    def encode_queries(number: int) -> float:
        return seconds_of(lambda: encoders.encode_queries([texts[row] for row in spaced(len(texts), number)]))

    def encode_written(number: int) -> float:
        assert task.fusing is not None
        rows, layout = spaced(len(texts), number), Layout(task.layout.dimension, "total", task.fusing.languages)
        generated = [next(task.fusing.companions.slice(row, row + 1)) for row in rows]
        return seconds_of(lambda: encoders.encode_written(generated, layout, 0))

    def search_random(number: int) -> float:
        with _scratch_ledger(task.ledger, task.layout) as scratch:
            _write_random(scratch, task.layout, number, random)
            probed = replace(task, ledger=scratch)
            depth = min(task.depth, number)
            return seconds_of(
                lambda: search(probed.embeddings, queries_QD, probed.families(), depth, device=device.type)
            )

    own_rows = max(
        sum(stop - start for start, stop in map(shards.rows, own_shards(shards.ledger.num_shards, rank, processes)))
        for rank in range(processes)
    )
    time = measured_time(encode_queries, len(texts), "queries", most=min(len(texts), ROWS_AT_ONCE))
    if task.fuses_queries:
        time += measured_time(encode_written, len(texts), "queries' written passages", most=min(len(texts), ROWS_AT_ONCE))
    most = min(own_rows, int(_LARGEST_SEARCH / task.layout.bytes_per_row))
    time += measured_time(search_random, own_rows, f"passages, for {num_rankings:,} queries,", 8 * task.depth, most)
    return PlannedStage("search", time, [], task.ledger.folder, peak_memory(device), processes)


def _plan_scoring(task: RetrievalTask, job: EncodingJob, headline: str, runs: bool, device: torch.device) -> PlannedStage:
    total, random, bytes_written = len(task.qrels.queries), np.random.default_rng(0), 0

    def score(number: int) -> float:
        nonlocal bytes_written
        rows = spaced(total, number)
        queries, relevance = [task.qrels.queries[row] for row in rows], [task.qrels.relevance[row] for row in rows]
        some = replace(task, qrels=replace(task.qrels, queries=queries, relevance=relevance), others={})
        rankings = {system: random_rankings(some, number / total, random) for system in some.systems}

        def write() -> None:
            write_answer(some, some.scored(rankings), job, headline, False, folder)
            for system, ranking in rankings.items() if runs else ():
                ids = [query.query_id for query in queries]
                write_run(folder / f"{system}.trec", ids, ranking, lambda rows: [str(row) for row in rows], system)

        with tempfile.TemporaryDirectory(dir=task.ledger.folder.parent) as name:
            folder = Path(name)
            seconds = seconds_of(write)
            bytes_written = sum(file.stat().st_size for file in folder.iterdir()) // number
        return seconds

    unit = f"queries, {len(task.systems)} systems, {len(task.metrics)} metrics,"
    time = measured_time(score, total, unit, 32)
    return PlannedStage("scoring", time, [Term(total, "queries", bytes_written)], task.ledger.folder, peak_memory(device))


def random_rankings(task: RetrievalTask, share: float, random: np.random.Generator) -> Rankings:
    """Consecutive passages from random places, in a `share` of the collection, so that a passage is ranked for as many queries
    as it would be among all. A relevant passage is then put at a random rank, in two of three rankings."""
    shape, num_passages = (len(task.qrels.queries), task.depth), len(task.store)
    pool = max(task.depth, int(num_passages * share))
    places_QK = (random.integers(pool, size=(shape[0], 1)) + np.arange(task.depth)) % pool
    rows_QK = places_QK * num_passages // pool
    for ranking_K, relevance in zip(rows_QK, task.qrels.relevance, strict=True):
        rank = int(task.depth ** (1.5 * random.random())) - 1
        relevant = next((row for row, grade in relevance.items() if grade > 0), None)
        if relevant is not None and rank < task.depth and relevant not in ranking_K:
            ranking_K[rank] = relevant
    return Rankings(np.tile(-np.arange(task.depth, dtype=np.float32), (shape[0], 1)), rows_QK)


@contextmanager
def _scratch_ledger(ledger: ShardLedger, layout: Layout) -> Iterator[ShardLedger]:
    """Of one shard, on the disk of the job's embeddings."""
    with tempfile.TemporaryDirectory(dir=ledger.folder.parent) as name:
        yield create_embeddings(Path(name), 1, layout, {})


def _write_random(ledger: ShardLedger, layout: Layout, num_rows: int, random: np.random.Generator) -> None:
    def vectors(*shape: int) -> NDArray[np.float32]:
        return random.random(shape, np.float32) - np.float32(0.5)

    with writing_shard(ledger, 0, [str(row) for row in range(num_rows)]) as writer:
        for start in range(0, num_rows, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, num_rows))
            size, groups = rows.stop - start, len(layout.groups)
            sums = (vectors(groups, size, layout.dimension), np.ones((groups, size), np.int64)) if groups else ()
            writer.put(rows, vectors(size, layout.dimension), *sums)
