"""Texts for a whole collection, from its parts: how long it will take, and what came of it."""

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from xdr.errors import UserError
from xdr.generators.backends import BackendSettings
from xdr.generators.generated_store import KIND, GeneratedStore, write_counts, write_texts
from xdr.generators.generation import Generation
from xdr.generators.generator_folder import fingerprint_generator, require_languages
from xdr.generators.quality import Gate, Reason
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import GenerationSettings, Sampling
from xdr.pipelines.disk_space import require_room, shown_bytes
from xdr.pipelines.plan import (
    BUDGET,
    PlannedStage,
    Probe,
    Term,
    peak_memory,
    plan_table,
    refuse_what_cannot_fit,
    shown_seconds,
    spaced,
    starting,
    timed_probe,
)
from xdr.pipelines.progress import counting
from xdr.pipelines.shard_module import ShardModule, run_probe
from xdr.pipelines.shard_run import ShardProgress, make_trainer, reporting_full_disk
from xdr.pipelines.shards import Shards, Sources
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.text.identification import LanguageCheck, LanguageIdentifier
from xdr.text.records import GeneratedTexts

GENERATED_FORMAT = 3


@dataclass(frozen=True)
class Request:
    """What is asked of a generation. The gate drops texts for the reasons in `refuse`. Texts for `probe` sources are generated
    first, for an estimate of time and disk."""

    generation: GenerationSettings
    sampling: Sampling
    refuse: Sequence[Reason]
    backend: BackendSettings
    shard_size: int
    probe: int

    def __post_init__(self) -> None:
        if self.shard_size < 1 or self.probe < 0:
            raise UserError(f"shard_size must be at least 1 and probe at least 0, got {self.shard_size} and {self.probe}")


@dataclass(frozen=True)
class GenerationJob:
    """Which texts to generate, with what, and where they are stored."""

    generator: QueryGenerator
    reader: GeneratorTokenizer
    identifier: LanguageIdentifier | None
    sources: Sources
    sources_fingerprint: str
    request: Request
    artifacts_dir: Path

    @cached_property
    def generator_fingerprint(self) -> str:
        return fingerprint_generator(self.generator, self.reader)

    def shards(self, precision: str) -> Shards:
        """The shards in a folder that is named by the fingerprint of generator, sources and settings."""
        request = self.request
        if precision.startswith("16"):
            raise UserError("trainer.precision=16 overflows in the T5 family; set trainer.precision=bf16-true, or 32-true")
        require_languages(self.reader, request.generation.languages)
        made_by: dict[str, Json] = {
            "generator": self.generator_fingerprint,
            "sources": self.sources_fingerprint,
            "num_sources": len(self.sources),
            "identifier": _fingerprint_identifier(self.identifier) if self.identifier else None,
            "languages": list(request.generation.languages),
            "generation": {**asdict(request.generation), "languages": list(request.generation.languages)},
            "sampling": asdict(request.sampling),
            "refuse": tuple(sorted(request.refuse)),
            "backend": request.backend.made_by(precision),
            "shard_size": request.shard_size,
            "direction": self.reader.task.direction,
            "format": GENERATED_FORMAT,
        }
        folder = self.artifacts_dir / "generated" / fingerprint(made_by)
        ledger = ShardLedger.create(folder, KIND, -(-len(self.sources) // request.shard_size), made_by)
        return Shards(self.sources, ledger, request.shard_size)

    def generation_on(self, device: torch.device) -> Generation:
        gate = Gate(LanguageCheck(self.identifier), frozenset(self.request.refuse))
        backend = self.request.backend.open(
            self.generator, self.reader, self.request.sampling, self.artifacts_dir, self.generator_fingerprint, device
        )
        return Generation(self.reader, backend, gate, self.request.generation)


def generate_collection(job: GenerationJob, trainer_settings: dict[str, Any], console: Console) -> GeneratedStore:
    """Generates the missing shards and returns the whole store."""
    request, shards = job.request, job.shards(str(trainer_settings["precision"]))
    if shards.ledger.missing():
        trainer = make_trainer(trainer_settings)
        texts_per_source = len(request.generation.languages) * request.generation.number
        bar = console if trainer_settings["enable_progress_bar"] else Console(quiet=True)
        with counting("texts", bar, shards.num_missing() * texts_per_source) as show, reporting_full_disk():
            progress = ShardProgress(shards, texts_per_source, show)

            def work_on(device: torch.device) -> _Writing:
                return _Writing(job.generation_on(device), shards, request.probe, trainer.world_size, progress, console)

            trainer.predict(ShardModule(job.generator, work_on, shards.ledger), return_predictions=False)
    else:
        console.print(f"All {shards.ledger.num_shards:,} shards exist already", markup=False)
    return GeneratedStore(shards.ledger.folder)


def plan_generation(job: GenerationJob, trainer_settings: dict[str, Any], console: Console, seconds_made_once: float) -> None:
    """Says what the missing shards will take, and refuses what cannot fit."""
    shards = job.shards(str(trainer_settings["precision"]))
    stages: list[PlannedStage] = []

    def probe(device: torch.device, rank: int, processes: int) -> None:
        stages.append(starting(shards.ledger.folder, device, seconds_made_once))
        generation = job.generation_on(device)
        found, size = measured(generation, shards, max(1, job.request.probe), BUDGET)
        busiest = shards.most_of_one(processes)
        time_taken = [
            Term(bool(busiest), "start", found.start),
            Term(job.request.probe if busiest else 0, "passages of the estimate", found.each),
            Term(busiest, "passages", found.each),
        ]
        stages.append(PlannedStage("generation", time_taken, [size], shards.ledger.folder, *peak_memory(device), processes))

    remedy = "Lower augmentation.generation.tokens_per_batch, or set trainer.precision=bf16-true"
    run_probe(job.generator, probe, trainer_settings, remedy)
    console.print(plan_table(stages))
    refuse_what_cannot_fit(stages, "artifacts_dir")


@dataclass(frozen=True)
class _Writing:
    generation: Generation
    shards: Shards
    probe: int
    num_processes: int
    progress: ShardProgress
    console: Console

    def begin(self) -> None:
        if self.probe:
            line = estimate(self.generation, self.shards, self.probe, self.num_processes)
            self.console.print(line, markup=False, soft_wrap=True)

    def make(self, shard: int) -> None:
        texts, counts = self.generation.write(self.shards.passages(shard), shard, self.progress.report)
        with self.shards.ledger.writing(shard) as folder:
            write_texts(texts, self.generation.settings.languages, folder)
            write_counts(counts, folder)


def estimate(generation: Generation, shards: Shards, probe: int, num_processes: int) -> str:
    """What cannot fit is refused."""
    found, disk = measured(generation, shards, probe, 0.0)
    num_missing, size = shards.num_missing(), disk.product
    seconds = shards.most_of_one(num_processes) * found.each
    require_room(shards.ledger.folder, size, f"the texts for {num_missing:,} passages")
    return (
        f"{num_missing:,} passages to write for: about {shown_seconds(seconds)} on {num_processes} "
        f"process{'es' if num_processes > 1 else ''}, at most {shown_bytes(size)}"
    )


def measured(generation: Generation, shards: Shards, probe: int, budget: float) -> tuple[Probe, Term]:
    """Time, and disk in all, from `probe` sources, or more if the budget in seconds allows: no more than share a shard."""
    sources = shards.sources
    texts: list[GeneratedTexts] = []

    def write(number: int) -> float:
        some = [next(sources.slice(row, row + 1)) for row in spaced(len(sources), number)]
        start = time.perf_counter()
        texts[:], _ = generation.write(some, -1)
        return time.perf_counter() - start

    found = timed_probe(write, probe, min(len(sources), shards.shard_size), budget)
    with tempfile.TemporaryDirectory() as name:
        write_texts(texts, generation.settings.languages, Path(name))
        size = sum(file.stat().st_size for file in Path(name).iterdir()) / found.number
    return found, Term(shards.num_missing(), "passages", size)


def _fingerprint_identifier(identifier: LanguageIdentifier) -> str:
    table = identifier.log_probabilities_BL.tobytes()
    return hashlib.sha256(" ".join(identifier.languages).encode() + table).hexdigest()[:32]
