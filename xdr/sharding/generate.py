"""Texts for a whole collection, from its parts: how long it will take, and what came of it."""

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import nn

from xdr.errors import UserError
from xdr.generators.generator import Metered
from xdr.generators.settings import GenerationSettings, Sampling
from xdr.sharding.disk_space import require_room, shown_bytes
from xdr.sharding.engine import Engine
from xdr.sharding.memory import TO_GENERATE, measured_memory
from xdr.sharding.plan import (
    BUDGET_SECONDS,
    PlannedStage,
    Term,
    measured_time,
    plan_table,
    refuse_what_cannot_fit,
    spaced,
    summed,
    total,
)
from xdr.sharding.progress import shown_seconds
from xdr.sharding.shard_module import ShardJob, make_shards, run_probe, warn_about
from xdr.sharding.shard_run import ShardProgress
from xdr.sharding.shards import Shards, Sources
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.text.identification import LanguageCheck, LanguageIdentifier
from xdr.writing.backends import BackendSettings, Loaded
from xdr.writing.generated_store import KIND, GeneratedStore, write_counts, write_texts
from xdr.writing.generation import Generation
from xdr.writing.kept_answers import KeptAnswers, answers_file
from xdr.writing.quality import Gate, Reason

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

    loaded: Loaded
    sources: Sources
    sources_fingerprint: str
    request: Request
    artifacts_dir: Path

    @property
    def models(self) -> nn.Module:
        """What the trainer moves to its device."""
        return self.loaded.models if self.loaded.models is not None else nn.Module()

    def shards(self, precision: str) -> Shards:
        """The shards in a folder that is named by the fingerprint of generator, sources and settings."""
        request, identifier = self.request, self.loaded.identifier
        self.loaded.task.require_languages(request.generation.languages)
        made_by: dict[str, Json] = {
            "generator": self.loaded.fingerprint,
            "sources": self.sources_fingerprint,
            "num_sources": len(self.sources),
            "identifier": _fingerprint_identifier(identifier) if identifier else None,
            "languages": list(request.generation.languages),
            "generation": {**asdict(request.generation), "languages": list(request.generation.languages)},
            "sampling": asdict(request.sampling),
            "refuse": tuple(sorted(request.refuse)),
            "backend": request.backend.made_by(precision),
            "shard_size": request.shard_size,
            "direction": self.loaded.task.direction,
            "format": GENERATED_FORMAT,
        }
        folder = self.artifacts_dir / "generated" / fingerprint(made_by)
        ledger = ShardLedger.create(folder, KIND, -(-len(self.sources) // request.shard_size), made_by)
        return Shards(self.sources, ledger, request.shard_size)

    def generation_on(self, device: torch.device) -> Generation:
        gate = Gate(LanguageCheck(self.loaded.identifier), frozenset(self.request.refuse))
        return Generation(self.loaded.on(device), self.loaded.task.template, gate, self.request.generation)


def generate_collection(
    job: GenerationJob, trainer_settings: dict[str, Any], console: Console, engine: Engine
) -> GeneratedStore:
    """Generates the missing shards and returns the whole store."""
    request, shards = job.request, job.shards(str(trainer_settings["precision"]))
    if not shards.ledger.missing():
        console.print(f"All {shards.ledger.num_shards:,} shards exist already", markup=False)
        warn_about(shards.ledger, console)
        return GeneratedStore(shards.ledger.folder)

    def work_on(device: torch.device, progress: ShardProgress) -> _Writing:
        return _Writing(job.generation_on(device), job.loaded.keeps_answers, shards, request.probe, progress, console)

    texts_per_source = len(request.generation.languages) * request.generation.number
    of_texts = ShardJob(job.models, work_on, shards, "texts", TO_GENERATE, texts_per_source)
    make_shards(of_texts, trainer_settings, console, engine)
    return GeneratedStore(shards.ledger.folder)


def plan_generation(job: GenerationJob, trainer_settings: dict[str, Any], console: Console) -> None:
    """Prints what the missing shards will take, and refuses a job that cannot fit."""
    shards = job.shards(str(trainer_settings["precision"]))
    stages: list[PlannedStage] = []

    def probe(device: torch.device, rank: int, processes: int) -> None:
        needed = measured(job.generation_on(device), shards, max(1, job.request.probe), processes)
        memory, tokens = measured_memory(device), _token_rows(needed, job.loaded.prices)
        folder = shards.ledger.folder
        stages.append(PlannedStage("generation", needed.seconds, needed.disk, folder, memory, processes, tokens))

    run_probe(job.models, probe, trainer_settings, TO_GENERATE)
    console.print(plan_table(stages))
    refuse_what_cannot_fit(stages, "artifacts_dir")


@dataclass(frozen=True)
class _Writing:
    generation: Generation
    keeps_answers: bool
    shards: Shards
    probe: int
    progress: ShardProgress
    console: Console

    def begin(self, num_processes: int) -> None:
        if self.probe and not self.keeps_answers:  # a server is not asked for texts that are thrown away
            line = estimate(self.generation, self.shards, self.probe, num_processes)
            self.console.print(line, markup=False, soft_wrap=True)

    def attempt(self, first: int, stop: int) -> None:
        self.generation.write(list(self.shards.sources.slice(first, stop)), -1)

    def make(self, shard: int, without: tuple[int, ...]) -> None:
        generation, answers = self.generation, answers_file(self.shards.ledger.folder, shard)
        if self.keeps_answers:
            generation = replace(generation, generator=KeptAnswers(generation.generator, answers))
        texts, counts = generation.write(self.shards.items(shard, without), shard, self.progress.report)
        with self.shards.ledger.writing(shard, self.shards.ids(without)) as folder:
            write_texts(texts, generation.settings.languages, folder)
            write_counts(counts, folder)
        answers.unlink(missing_ok=True)


def estimate(generation: Generation, shards: Shards, probe: int, num_processes: int) -> str:
    """One line from a probe of `probe` sources. Texts that cannot fit on the disk are refused."""
    seconds, disk, *_ = measured(generation, shards, probe, num_processes, budget=0.0)
    num_missing = shards.num_missing()
    require_room(shards.ledger.folder, total(disk), f"the texts for {num_missing:,} passages")
    return (
        f"{num_missing:,} passages to write for: about {shown_seconds(total(seconds))} on {num_processes} "
        f"process{'es' if num_processes > 1 else ''}, at most {shown_bytes(total(disk))}"
    )


def measured(
    generation: Generation, shards: Shards, probe: int, num_processes: int, budget: float = BUDGET_SECONDS
) -> "Needed":
    """What the missing shards need, from texts for `probe` sources, or more if the budget in seconds allows, up to a shard."""
    sources, each = shards.sources, (0.0, 0.0, 0.0)
    metered = Metered(generation.generator)
    generation = replace(generation, generator=metered)

    def write(number: int) -> float:
        nonlocal each
        some = [next(sources.slice(row, row + 1)) for row in spaced(len(sources), number)]
        start = time.perf_counter()
        texts, _ = generation.write(some, -1)
        seconds = time.perf_counter() - start
        with tempfile.TemporaryDirectory() as name:
            write_texts(texts, generation.settings.languages, Path(name))
            num_bytes = sum(file.stat().st_size for file in Path(name).iterdir())
        each = num_bytes / number, metered.num_read / number, metered.num_written / number
        return seconds

    most = min(len(sources), shards.shard_size)
    seconds = measured_time(write, shards.most_of_one(num_processes), "passages", probe, most, budget)
    return Needed(seconds, *([Term(shards.num_missing(), "passages", of_one)] for of_one in each))


class Needed(NamedTuple):
    """Seconds, bytes, and tokens of prompts and texts."""

    seconds: list[Term]
    disk: list[Term]
    read: list[Term]
    written: list[Term]


def _token_rows(needed: Needed, prices: tuple[float, float] | None) -> list[tuple[str, str, str]]:
    """Rows of the plan's table. Prices are those of a million tokens."""
    parts = {"tokens in": needed.read, "tokens out": needed.written}
    rows = [(name, f"{total(terms):,.0f}", summed(terms, "{:,.0f}".format)) for name, terms in parts.items()]
    if prices is not None:
        millions = [total(terms) / 1e6 for terms in parts.values()]
        arithmetic = " + ".join(f"{number:,.2f} million x {price:g}" for number, price in zip(millions, prices, strict=True))
        rows.append(("cost", f"{millions[0] * prices[0] + millions[1] * prices[1]:,.2f}", arithmetic))
    return rows


def _fingerprint_identifier(identifier: LanguageIdentifier) -> str:
    table = identifier.log_probabilities_BL.tobytes()
    return hashlib.sha256(" ".join(identifier.languages).encode() + table).hexdigest()[:32]
