"""Texts for a whole collection, from its parts: how long it will take, and what came of it."""

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from xdr.augmentation.generated_store import KIND, GeneratedStore, write_counts, write_texts
from xdr.augmentation.generation import Generation, Order
from xdr.augmentation.quality import Gate, Reason
from xdr.data.progress import counting
from xdr.errors import UserError
from xdr.models.ctranslate2_backend import CTranslate2Backend
from xdr.models.drawing import Sampling
from xdr.models.generator_folder import fingerprint_generator, require_languages
from xdr.models.query_generator import GeneratorReader, QueryGenerator
from xdr.models.sampling import Backend, HuggingFaceBackend
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.text.identification import LanguageCheck, LanguageIdentifier
from xdr.training.room import require_room, shown_bytes
from xdr.training.shard_module import ShardModule
from xdr.training.shard_run import ShardProgress, explaining_a_full_disk, make_trainer
from xdr.training.sources import Shards, Sources

FORMAT = 2


@dataclass(frozen=True)
class Request:
    """What an experiment says of a generation. `refuse` are the gate's reasons; `probe` sources are written for first."""

    order: Order
    sampling: Sampling
    refuse: Sequence[Reason]
    backend: Literal["huggingface", "ctranslate2"]
    compute_type: str
    shard_size: int
    probe: int

    def __post_init__(self) -> None:
        if self.shard_size < 1 or self.probe < 0:
            raise UserError(f"shard_size is at least 1 and probe at least 0; {self.shard_size} and {self.probe} came")


def generate_collection(
    generator: QueryGenerator,
    reader: GeneratorReader,
    identifier: LanguageIdentifier | None,
    sources: Sources,
    sources_fingerprint: str,
    request: Request,
    artifacts_dir: Path,
    trainer_settings: dict[str, Any],
    console: Console,
) -> GeneratedStore:
    """Writes the shards that are missing and returns the whole. What made them names their folder: another generator, another
    collection or another setting has another one."""
    precision = str(trainer_settings["precision"])
    if precision.startswith("16"):
        raise UserError("trainer.precision=16 overflows in the T5 family; set trainer.precision=bf16-true, or 32-true")
    require_languages(reader, request.order.languages)
    generator_fingerprint = fingerprint_generator(generator, reader)
    made_by: dict[str, Json] = {
        "generator": generator_fingerprint,
        "sources": sources_fingerprint,
        "num_sources": len(sources),
        "identifier": _fingerprint_identifier(identifier) if identifier else None,
        "languages": list(request.order.languages),
        "order": {**asdict(request.order), "languages": list(request.order.languages)},
        "sampling": asdict(request.sampling),
        "refuse": tuple(sorted(request.refuse)),
        "backend": request.backend,
        "compute_type": request.compute_type if request.backend == "ctranslate2" else precision,
        "shard_size": request.shard_size,
        "direction": reader.task.direction,
        "format": FORMAT,
    }
    folder = artifacts_dir / "generated" / fingerprint(made_by)
    num_shards = -(-len(sources) // request.shard_size)
    ledger = ShardLedger.create(folder, KIND, num_shards, made_by)
    shards = Shards(sources, ledger, request.shard_size)

    def generation_on(device: torch.device) -> Generation:
        gate = Gate(LanguageCheck(identifier), frozenset(request.refuse))
        return Generation(reader, backend(device), gate, request.order)

    def backend(device: torch.device) -> Backend:
        if request.backend == "huggingface":
            return HuggingFaceBackend(generator, reader, request.sampling)
        conversions = artifacts_dir / "ctranslate2"
        return CTranslate2Backend(
            generator,
            reader,
            request.sampling,
            request.compute_type,
            conversions,
            generator_fingerprint,
            device.type,
            device.index or 0,
        )

    if ledger.missing():
        trainer = make_trainer(trainer_settings)
        each = len(request.order.languages) * request.order.number
        bar = console if trainer_settings["enable_progress_bar"] else Console(quiet=True)
        with counting("texts", bar, shards.num_missing() * each) as show, explaining_a_full_disk():
            progress = ShardProgress(shards, each, show)

            def work_on(device: torch.device) -> _Writing:
                return _Writing(generation_on(device), shards, request.probe, trainer.world_size, progress, console)

            trainer.predict(ShardModule(generator, work_on, ledger), return_predictions=False)
    else:
        console.print(f"all {num_shards:,} shards are there already", markup=False)
    return GeneratedStore(folder)


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
            write_texts(texts, self.generation.order.languages, folder)
            write_counts(counts, folder)


def estimate(generation: Generation, shards: Shards, probe: int, num_processes: int) -> str:
    """From a few sources, evenly spaced: the second time, when libraries are warm. What cannot fit is refused."""
    sources, num_missing = shards.sources, shards.num_missing()
    step = max(1, len(sources) // probe)
    some = [next(sources.slice(row, row + 1)) for row in range(0, min(len(sources), probe * step), step)]
    generation.write(some[:1], -1)
    start = time.perf_counter()
    texts, _ = generation.write(some, -1)
    seconds = (time.perf_counter() - start) / len(some) * num_missing / num_processes
    with tempfile.TemporaryDirectory() as name:
        write_texts(texts, generation.order.languages, Path(name))
        size = sum(file.stat().st_size for file in Path(name).iterdir()) / len(some) * num_missing
    require_room(shards.ledger.folder, size, f"the texts for {num_missing:,} passages")
    return (
        f"{num_missing:,} passages to write for: about {_duration(seconds)} on {num_processes} process"
        f"{'es' if num_processes > 1 else ''}, at most {shown_bytes(size)}"
    )


def _fingerprint_identifier(identifier: LanguageIdentifier) -> str:
    table = identifier.log_probabilities_BL.tobytes()
    return hashlib.sha256(" ".join(identifier.languages).encode() + table).hexdigest()[:32]


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} seconds"
