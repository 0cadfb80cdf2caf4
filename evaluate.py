"""Everything after training. `python evaluate.py experiment=sample`; `--help` tells the rest."""

import os
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from conf import entry
from conf.labels import configuration, labels_of
from xdr.errors import UserError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig
    from rich.console import Console

    from xdr.data.benchmark import Benchmark
    from xdr.data.passage_store import PassageStore


def main(settings: "DictConfig") -> float | None:
    """Returns the headline figure of the best system, for those who optimise it."""
    from rich.console import Console

    console = Console(quiet=int(os.environ.get("LOCAL_RANK", 0)) > 0)
    if settings.plan and settings.stage.name not in ("generate", "encode", "score"):
        raise UserError(f"plan=true is of stages generate, encode and score; stage={settings.stage.name} needs no plan")
    if settings.stage.name == "sweep":
        read_sweep(settings, console)
        return None
    benchmark = entry.build_benchmark(settings.data)
    stages = {"prepare": prepare, "generate": generate, "export": export, "encode": score, "score": score}
    return stages[settings.stage.name](settings, benchmark, console)


def prepare(settings: "DictConfig", benchmark: "Benchmark", console: "Console") -> None:
    """The collection in its memory-mapped form, and every query and judgement checked against it."""
    from dataclasses import asdict

    from xdr.data.problems import Problems
    from xdr.pipelines.collection_summary import as_table, count_benchmark
    from xdr.storage.files import write_json

    problems = Problems(settings.data.strict)
    store = _collection(settings, benchmark, console)
    counts = count_benchmark(benchmark, store, problems)
    console.print(as_table(f"{len(store):,} passages, fingerprint {store.fingerprint}", counts))
    for note in [*store.notes, *problems.report()]:
        console.print(note, style="yellow", markup=False)
    report = Path(settings.output_dir) / "collection.json"
    write_json(
        report,
        {
            "store": str(store.folder),
            "fingerprint": store.fingerprint,
            "passages": len(store),
            "notes": [*store.notes, *problems.report()],
            "counts": [asdict(row) for row in counts],
        },
    )
    console.print(f"The collection is in {store.folder}; these figures are in {report}", markup=False, soft_wrap=True)


def generate(settings: "DictConfig", benchmark: "Benchmark", console: "Console") -> None:
    """Questions about every passage of the collection, or passages for every question of a split, in shards."""
    wanted = entry.plain(_augmentation(settings).generation)
    if settings.checkpoint is None:
        raise UserError("stage=generate needs a generator: checkpoint=FOLDER, a checkpoint of train.py, or a hub name")

    from callbacks.wandb_logger import log_row
    from xdr.data.problems import Problems
    from xdr.generators.backends import BackendSettings, CTranslate2, HuggingFace
    from xdr.generators.generator_folder import open_generator
    from xdr.generators.quality import as_table
    from xdr.generators.settings import GenerationSettings, Sampling, Task
    from xdr.pipelines.generate import GenerationJob, Request, generate_collection, plan_generation
    from xdr.pipelines.shards import Sources, queries_as_sources
    from xdr.storage.files import write_json
    from xdr.text.languages import language_codes
    from xdr.training.run import silence_libraries

    silence_libraries()
    generation = GenerationSettings(
        languages=language_codes(wanted["languages"]),
        **{key: wanted[key] for key in ("number", "input_length", "regenerate", "tokens_per_batch", "seed")},
    )
    sampling = Sampling(
        **{key: wanted[key] for key in ("top_k", "top_p", "temperature", "output_length", "vocabulary", "latin")}
    )
    backend: BackendSettings = CTranslate2(wanted["compute_type"]) if wanted["backend"] == "ctranslate2" else HuggingFace()
    request = Request(generation, sampling, backend=backend, **{key: wanted[key] for key in ("refuse", "shard_size", "probe")})
    task = Task(**{key: wanted[key] for key in ("direction", "language_at", "input_length", "output_length")})
    generator, reader, identifier = open_generator(settings.checkpoint, task)
    sources: Sources
    if reader.task.direction == "query_from_passage":
        store = _collection(settings, benchmark, console)
        sources, sources_fingerprint = store, store.fingerprint
    else:
        queries = queries_as_sources(benchmark.queries(wanted["split"], Problems(settings.data.strict)))
        sources, sources_fingerprint = queries, queries.fingerprint
    job = GenerationJob(generator, reader, identifier, sources, sources_fingerprint, request, Path(settings.artifacts_dir))
    if settings.plan:
        return plan_generation(job, entry.plain(settings.trainer), console)
    with _logging(settings, "generate") as logger:
        generated = generate_collection(job, entry.plain(settings.trainer), console)
        counts = generated.counts()
        log_row(logger, {f"{reason}/{code}": n for code, its in counts.items() for reason, n in its.to_json().items()}, {})
    console.print(as_table(counts, "Generated texts"))
    report = Path(settings.output_dir) / "generated.json"
    write_json(
        report,
        {
            "generated": str(generated.folder.resolve()),
            "fingerprint": generated.fingerprint,
            "bytes": generated.num_bytes(),
            "made_by": generated.made_by,
            "counts": {language: count.to_json() for language, count in counts.items()},
        },
    )
    console.print(f"The texts are in {generated.folder}; these figures are in {report}", markup=False, soft_wrap=True)


def export(settings: "DictConfig", benchmark: "Benchmark", console: "Console") -> None:
    """What stage=generate left, in the format of the published xQG data."""
    augmentation = _augmentation(settings)
    if augmentation.export is None or augmentation.source is None:
        raise UserError("stage=export needs augmentation.source=FOLDER and augmentation.export=NAME.jsonl or NAME.jsonl.gz")
    from xdr.generators.generated_source import export_generated, open_generated
    from xdr.pipelines.progress import counting

    store = _collection(settings, benchmark, console)
    generated = open_generated(augmentation.source, store, Path(settings.artifacts_dir))
    with counting("passages", console, len(store)) as progress:
        export_generated(generated, store, Path(augmentation.export), progress)
    console.print(f"{len(store):,} passages with their questions are in {augmentation.export}", markup=False, soft_wrap=True)


def score(settings: "DictConfig", benchmark: "Benchmark", console: "Console") -> float | None:
    """Encode what is missing, search, score, test, report; stage=encode stops after the first."""
    if settings.checkpoint is None:
        raise UserError(
            f"stage={settings.stage.name} needs an encoder: checkpoint=FOLDER, a checkpoint of train.py, or a hub name"
        )
    wanted, search = entry.plain(settings.evaluation), entry.plain(settings.search)

    from callbacks.report_evaluation import ReportEvaluation
    from callbacks.retrieval_evaluation import RetrievalEvaluation
    from callbacks.wandb_logger import log_row
    from xdr.encoders.open_encoder import EncoderOptions, open_encoder
    from xdr.evaluation.metric_names import parse_metrics, require_headline
    from xdr.pipelines.encode import EncodingJob, EncodingSettings, encode_collection
    from xdr.pipelines.plan_evaluation import plan_evaluation
    from xdr.pipelines.prepare_evaluation import fusing_of, index_of, retrieval_task
    from xdr.pipelines.progress import took
    from xdr.training.run import silence_libraries

    silence_libraries()
    metrics, headline = parse_metrics(wanted["metrics"]), require_headline(wanted["headline"])
    output_dir, artifacts_dir = Path(settings.output_dir), Path(settings.artifacts_dir)
    options = EncoderOptions(**{field.name: wanted[field.name] for field in fields(EncoderOptions)})
    queries, passages, reader = open_encoder(settings.checkpoint, options)  # before a collection is converted, which takes long
    store = _collection(settings, benchmark, console)
    fusing = fusing_of(entry.plain(settings.augmentation), benchmark, store, artifacts_dir)
    on_passages = fusing is not None and fusing.side == "passages"
    job = EncodingJob(
        queries,
        passages,
        reader,
        store,
        fusing.generated if fusing is not None and on_passages else None,
        EncodingSettings(
            settings.augmentation.keep.name if on_passages else "none",
            fusing.languages if fusing is not None else (),
            fusing.number if fusing is not None else 0,
            search["shard_size"],
            search["tokens_per_batch"],
        ),
    )
    ledger = job.ledger(artifacts_dir, str(settings.trainer.precision))
    if settings.plan and settings.stage.name == "encode":
        plan_evaluation(job, ledger, None, headline, False, entry.plain(settings.trainer), console)
        return None
    if settings.stage.name == "encode":
        start = time.perf_counter()
        with _logging(settings, "encode") as logger:
            missing = len(ledger.missing()) / ledger.num_shards
            encode_collection(job, ledger, entry.plain(settings.trainer), console)
            seconds = time.perf_counter() - start
            log_row(logger, {"passages": len(store), "share encoded": missing, "seconds": seconds}, {})
        console.print(f"The vectors are in {ledger.folder}", markup=False, soft_wrap=True)
        return None
    task = retrieval_task(
        benchmark, store, ledger, metrics, wanted, search["depth"], index_of(search), fusing, settings.compare_to
    )
    if settings.plan:
        plan_evaluation(job, ledger, task, headline, wanted["runs"], entry.plain(settings.trainer), console)
        return None
    report = ReportEvaluation(task, headline, wanted["runs"], job, output_dir, console)
    evaluation = RetrievalEvaluation(task, report)
    with _logging(settings, "evaluate") as logger:
        encode_collection(job, ledger, entry.plain(settings.trainer), console, [evaluation], logger)
    console.print(took(evaluation.seconds), markup=False)
    return report.best


def read_sweep(settings: "DictConfig", console: "Console") -> None:
    """The jobs of the sweep in output_dir: how each is doing, and those that are done side by side."""
    from xdr.storage.jobs import read_jobs

    folder, wanted = Path(settings.output_dir), entry.plain(settings.evaluation)
    jobs = read_jobs(folder)
    from callbacks.report_sweep import log_sweep
    from xdr.evaluation.significance import Testing
    from xdr.reporting.sweep import sweep_report
    from xdr.reporting.sweep_files import write_sweep
    from xdr.reporting.sweep_findings import sweep_answer
    from xdr.reporting.terminal_table import sweep_terminal_table
    from xdr.training.run import silence_libraries

    silence_libraries()
    report = sweep_report(
        folder.name,
        jobs,
        **entry.plain(settings.sweep),
        testing=Testing(wanted["num_samples"], wanted["confidence"], wanted["seed"]),
    )
    write_sweep(report, folder)
    console.print(sweep_terminal_table(report))
    for job in jobs:
        if job.state != "done":
            console.print(f"job {job.name} is {job.state}{f': {job.error}' if job.error else ''}", markup=False, soft_wrap=True)
    for sentence in (sweep_answer(report), *report.warnings()):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"The page is {folder / 'sweep.html'}", markup=False, soft_wrap=True)
    with _logging(settings, "sweep") as logger:
        log_sweep(logger, report)


def _logging(settings: "DictConfig", job_type: str) -> "AbstractContextManager[Logger]":
    from callbacks.build import logging_to
    from callbacks.wandb_logger import Labels

    labels = Labels(**labels_of(settings, job_type))
    return logging_to(settings.logger.name, Path(settings.output_dir), labels, configuration(settings))


def _collection(settings: "DictConfig", benchmark: "Benchmark", console: "Console") -> "PassageStore":
    from xdr.data.collection import open_collection
    from xdr.data.problems import Problems
    from xdr.pipelines.progress import counting

    with counting("passages", console) as progress:
        return open_collection(benchmark, Path(settings.artifacts_dir), Problems(settings.data.strict), progress)


def _augmentation(settings: "DictConfig") -> "DictConfig":
    if "generation" not in settings.augmentation:
        raise UserError(f"stage={settings.stage.name} needs augmentation=generated_queries")
    augmentation: DictConfig = settings.augmentation
    return augmentation


if __name__ == "__main__":
    entry.run("evaluate", main)
