"""What an evaluation will take: some passages encoded and written, a search of all queries in some vectors, some rankings
scored and one test."""

import tempfile
import time
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

from xdr.augmentation.encoding import ROWS_AT_ONCE, Encoders
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Gold, score
from xdr.evaluation.significance import compare_systems
from xdr.retrieval.embedding_writer import create_embeddings, writing_shard
from xdr.retrieval.layout import Layout
from xdr.storage.ledger import ShardLedger
from xdr.training.encode import EncodingJob, encode_into, prepared
from xdr.training.plan import Stage, Term, as_table, peak_memory, refuse_what_cannot_fit, spaced, timed_probe
from xdr.training.retrieval_task import BASELINE, RetrievalTask
from xdr.training.shard_module import run_probe
from xdr.training.sources import Shards

_REMEDY = "Lower search.tokens_per_batch, or set trainer.precision=bf16-true"
_SEARCHED_ROWS, _SEARCHED_BYTES = 8192, 2.5e8
_SCORED_QUERIES = 128


def plan_evaluation(
    job: EncodingJob, ledger: ShardLedger, task: RetrievalTask | None, trainer_settings: dict[str, Any], console: Console
) -> None:
    """Without a task the vectors alone. Refuses what cannot fit."""
    stages: list[Stage] = []

    def probe(device: torch.device, processes: int) -> None:
        encoders = prepared(job)
        stages.append(_encoding(job, ledger, encoders, device, processes))
        if task is not None:
            if task.index is None:
                stages.append(_search(job, ledger, encoders, task, device, processes))
            stages.append(_scoring(task, ledger.folder, device))

    towers = nn.ModuleList([job.queries] if job.passages is None else [job.queries, job.passages])
    run_probe(towers, probe, trainer_settings, _REMEDY)
    console.print(as_table(stages))
    if task is not None and task.index is not None:
        console.print("a search by faiss is not planned: most of its time is that of building the index", style="yellow")
    refuse_what_cannot_fit(stages, "artifacts_dir")


def _encoding(job: EncodingJob, ledger: ShardLedger, encoders: Encoders, device: torch.device, processes: int) -> Stage:
    missing, total = Shards(job.store, ledger, job.settings.shard_size).num_missing(), len(job.store)

    def encode(number: int) -> None:
        rows = spaced(total, number)
        passages = [job.store[row] for row in rows]
        generated = [next(job.generated.slice(row, row + 1)) for row in rows] if job.generated else []
        ids = [passage.passage_id for passage in passages]
        with _scratch(ledger, 1, job.layout()) as scratch, writing_shard(scratch, 0, ids) as writer:
            encode_into(writer, passages, generated, encoders, job, lambda number: None)

    seconds = timed_probe(encode, 8, min(total, job.settings.shard_size, 4 * ROWS_AT_ONCE))[1] if missing else 0.0
    time_taken, disk = Term(missing, "passages", seconds), Term(missing, "passages", job.layout().bytes_per_row)
    return Stage("encoding", [time_taken], [disk], ledger.folder, *peak_memory(device), processes)


def _search(
    job: EncodingJob, ledger: ShardLedger, encoders: Encoders, task: RetrievalTask, device: torch.device, processes: int
) -> Stage:
    """Random vectors cost what others cost. Two sizes tell what each passage adds from what each query takes anyhow."""
    texts = [query.text for query in task.gold.queries]
    fused = len(task.systems) if task.fuses_queries else 1
    each_query = timed_probe(lambda number: encoders.encode_queries(texts[:number]), 8, min(len(texts), 1024))[1]
    layout, random = job.layout(), np.random.default_rng(0)
    num_rows = int(min(_SEARCHED_ROWS, _SEARCHED_BYTES // layout.bytes_per_row))
    sizes = num_rows // 4, num_rows - num_rows // 4
    queries_QD = random.standard_normal((len(texts) * fused, layout.dimension), np.float32)
    with _scratch(ledger, len(sizes), layout) as scratch:
        for shard, size in enumerate(sizes):
            with writing_shard(scratch, shard, [f"{shard}-{row}" for row in range(size)]) as writer:
                vectors_GND = random.standard_normal((1 + len(layout.groups), size, layout.dimension), np.float32)
                companions = (vectors_GND[1:], np.ones(vectors_GND.shape[:2], np.int64)[1:]) if layout.groups else ()
                writer.put(slice(0, size), vectors_GND[0], *companions)
        probed = replace(task, ledger=scratch, depth=min(task.depth, sizes[0]))

        def seconds_of(shards: list[int]) -> float:
            start = time.perf_counter()
            probed.ranked(queries_QD, task.families(), device.type, shards)
            return time.perf_counter() - start

        seconds_of([0])
        few, all_of_them = seconds_of([0]), seconds_of([0, 1])
    each_passage = max(0.0, all_of_them - few) / sizes[1]
    each_ranking = max(0.0, few - each_passage * sizes[0]) / len(queries_QD)
    terms = [
        Term(len(texts), "queries", each_query),
        Term(len(job.store), f"passages, for {len(queries_QD):,} queries,", each_passage),
        Term(len(queries_QD), "rankings", each_ranking),
    ]
    return Stage("search", terms, [], ledger.folder, *peak_memory(device), processes)


def _scoring(task: RetrievalTask, folder: Path, device: torch.device) -> Stage:
    """A passage's words are read once, however many rankings hold it: equal rankings tell what each takes besides."""
    gold, systems, random = task.gold, len(task.systems), np.random.default_rng(0)
    some = spaced(len(gold.queries), min(_SCORED_QUERIES, len(gold.queries)))  # of every language
    few = Gold([gold.queries[row] for row in some], [gold.relevance[row] for row in some], gold.passages)
    number, depth = len(few.queries), min(task.depth, len(task.store))
    rankings_QK = np.stack([random.choice(len(task.store), depth, replace=False) for _ in range(number)])

    def seconds_of(rankings_QK: NDArray[np.int64]) -> float:
        start = time.perf_counter()
        score(few, {BASELINE: rankings_QK}, task.metrics, lambda row: task.store[row].text)
        return time.perf_counter() - start

    equal_QK = rankings_QK[:1].repeat(number, axis=0)
    seconds_of(equal_QK)
    alike, different = seconds_of(equal_QK), seconds_of(rankings_QK)
    each_passage = max(0.0, different - alike) / max(1, len(np.unique(rankings_QK)) - depth)
    terms = [
        Term(min(len(task.store), len(gold.queries) * depth), "passages", each_passage),
        Term(len(gold.queries) * systems, "rankings", alike / number),
    ]
    if others := systems - 1 + len(task.others):
        names, languages = tuple(q.query_id for q in gold.queries), tuple(q.language for q in gold.queries)
        two = {name: PerQuery(names, languages, {"x": random.random(len(names))}) for name in (BASELINE, "other")}
        testing = task.testing
        start = time.perf_counter()
        compare_systems(two, BASELINE, "x", num_samples=testing.num_samples, confidence=testing.confidence, generator=random)
        terms.append(Term(others * len(task.metrics), "comparisons", time.perf_counter() - start))
    return Stage("scoring", terms, [], folder, *peak_memory(device))


@contextmanager
def _scratch(ledger: ShardLedger, num_shards: int, layout: Layout) -> Iterator[ShardLedger]:
    """Beside the true one, so that its disk is the one that is timed."""
    with tempfile.TemporaryDirectory(dir=ledger.folder.parent) as name:
        yield create_embeddings(Path(name), num_shards, layout, {})
