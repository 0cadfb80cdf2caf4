"""What an evaluation will take: some passages encoded and written, a search of all queries in some vectors, some rankings
scored, tested and reported."""

import time
from typing import Any

import torch
from rich.console import Console
from torch import nn

from xdr.encoders.encoder import Encoder
from xdr.pipelines.encode import EncodingJob, encode_into, prepared
from xdr.pipelines.plan import (
    PlannedStage,
    Probe,
    Term,
    peak_memory,
    plan_table,
    refuse_what_cannot_fit,
    spaced,
    starting,
    stretches,
    timed_probe,
)
from xdr.pipelines.plan_scoring import plan_scoring
from xdr.pipelines.plan_search import plan_search, scratch_ledger
from xdr.pipelines.retrieval_task import RetrievalTask
from xdr.pipelines.shard_module import run_probe
from xdr.pipelines.shards import Shards
from xdr.retrieval.embedding_writer import writing_shard
from xdr.retrieval.generated_sums import ROWS_AT_ONCE
from xdr.storage.ledger import ShardLedger

_REMEDY = "Lower search.tokens_per_batch, or set trainer.precision=bf16-true"


def plan_evaluation(
    job: EncodingJob,
    ledger: ShardLedger,
    task: RetrievalTask | None,
    headline: str,
    runs: bool,
    trainer_settings: dict[str, Any],
    console: Console,
    seconds_made_once: float,
) -> None:
    """Without a task the vectors alone. Refuses what cannot fit."""
    stages: list[PlannedStage] = []
    shards = Shards(job.store, ledger, job.settings.shard_size)

    def probe(device: torch.device, rank: int, processes: int) -> None:
        stages.append(starting(ledger.folder, device, seconds_made_once))
        encoder = prepared(job)
        stages.append(_encoding(job, shards, encoder, device, processes))
        if task is not None:
            if task.index is None:
                stages.append(plan_search(task, encoder, shards, device, processes))
            if rank == 0:
                stages.append(plan_scoring(task, job, headline, runs, device))

    towers = nn.ModuleList([job.queries] if job.passages is None else [job.queries, job.passages])
    run_probe(towers, probe, trainer_settings, _REMEDY)
    console.print(plan_table(stages))
    if task is not None and task.index is not None:
        console.print("a search by faiss is not planned: most of its time is that of building the index", style="yellow")
    refuse_what_cannot_fit(stages, "artifacts_dir")


def _encoding(job: EncodingJob, shards: Shards, encoder: Encoder, device: torch.device, processes: int) -> PlannedStage:
    missing, most = shards.num_missing(), min(len(job.store), job.settings.shard_size, 4 * ROWS_AT_ONCE)
    rows = stretches(len(job.store), most) if missing else []  # read once: texts are read a shard at a time
    passages = [passage for stretch in rows for passage in job.store.slice(*stretch)]
    generated = [its for stretch in rows for its in job.generated.slice(*stretch)] if job.generated else []

    def encode(number: int) -> float:
        some = spaced(len(passages), number)
        with scratch_ledger(shards.ledger, job.layout()) as scratch:
            start = time.perf_counter()
            with writing_shard(scratch, 0, [passages[place].passage_id for place in some]) as writer:
                its = [generated[place] for place in some] if job.generated else []
                encode_into(writer, [passages[place] for place in some], its, encoder, job, lambda number: None)
            return time.perf_counter() - start

    found = timed_probe(encode, 8, most) if missing else Probe(0, 0.0, 0.0)
    time_taken = [Term(bool(missing), "start", found.start), Term(shards.most_of_one(processes), "passages", found.each)]
    disk = [Term(missing, "passages", job.layout().bytes_per_row)]
    return PlannedStage("encoding", time_taken, disk, shards.ledger.folder, *peak_memory(device), processes)
