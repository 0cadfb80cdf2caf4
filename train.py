"""Builds what an experiment names and fits it. `python train.py experiment=sample_bi_encoder`; `--help` tells the rest."""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from conf import entry
from conf.labels import configuration, labels_of
from xdr.errors import UserError

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig
    from rich.console import Console

    from xdr.data.training_set import TrainingSet
    from xdr.text.records import TrainingExample
    from xdr.training.bi_encoder_data import BatchSettings
    from xdr.training.run import TrainingRun
    from xdr.training.validation_pool import ValidationPool


def main(settings: "DictConfig") -> float | None:
    """Data before the model, the model before the fit: a mistake is found before anything heavy is loaded. Returns the
    monitored figure of the best checkpoint, for those who optimise it."""
    writes = "direction" in settings.model
    if writes != ("largest_dev" in settings.callbacks.validation):
        raise UserError(f"this model is validated otherwise; set callbacks={'generator' if writes else 'default'}")
    benchmark = entry.build_benchmark(settings.data)
    from rich.console import Console

    from xdr.data.problems import Problems
    from xdr.data.run_negatives import examples_with_negatives
    from xdr.data.training_set import training_set
    from xdr.pipelines.collection_summary import as_table, count_examples

    console = Console(quiet=int(os.environ.get("LOCAL_RANK", 0)) > 0)
    problems = Problems(settings.data.strict)
    train = examples_with_negatives(benchmark, settings.data.negatives, Path(settings.output_dir) / "artifacts", problems)
    largest = settings.callbacks.validation["largest_dev" if writes else "largest_pool"]
    dev = list(benchmark.examples("dev", problems)) if largest else []
    console.print(as_table("Training examples", [*count_examples("train", train), *count_examples("dev", dev)]))
    for note in problems.report():
        console.print(note, style="yellow", markup=False)
    weights = entry.plain(settings.data.batches)["language_weights"]
    data = training_set(train, weights, getattr(benchmark, "weight_of", None))
    from callbacks.build import logging_to
    from callbacks.wandb_logger import Labels, log_files

    fit, output_dir = fit_generator if writes else fit_retriever, Path(settings.output_dir)
    if settings.plan:
        return fit(settings, data, dev, console, None)
    labels = Labels(**labels_of(settings, "train"))
    with logging_to(settings.logger.name, output_dir, labels, configuration(settings)) as logger:
        value = fit(settings, data, dev, console, logger)
        if labels.artifacts:
            log_files(logger, "model", _model_files(output_dir))
        return value


def fit_retriever(
    settings: "DictConfig", data: "TrainingSet", dev: "Sequence[TrainingExample]", console: "Console", logger: "Logger | None"
) -> float | None:
    from xdr.training.validation_pool import validation_pool

    largest_pool = settings.callbacks.validation.largest_pool
    pool = validation_pool(dev, data.examples, largest_pool) if largest_pool else None

    from xdr.encoders.tokenization import InputFormat
    from xdr.pipelines.fit import fit_bi_encoder
    from xdr.training.bi_encoder_module import Objective, Optimizer
    from xdr.training.run import silence_libraries

    silence_libraries()
    reading = InputFormat(**entry.plain(settings.model.reading))
    bi_encoder, reader = entry.build(
        settings.model, "objective", "optimizer", "reading", reading=reading, **_new_model(settings)
    )
    return fit_bi_encoder(
        bi_encoder,
        reader,
        data,
        pool,
        _batches(settings),
        Objective(**entry.plain(settings.model.objective)),
        Optimizer(**entry.plain(settings.model.optimizer)),
        _run(settings, logger, pool is not None, pool),
        console,
    )


def fit_generator(
    settings: "DictConfig", data: "TrainingSet", dev: "Sequence[TrainingExample]", console: "Console", logger: "Logger | None"
) -> float | None:
    from xdr.data.training_set import texts_by_language
    from xdr.generators.settings import Task
    from xdr.pipelines.fit import fit_generator
    from xdr.text.identification import train_identifier
    from xdr.training.generator_module import WritingOptimizer
    from xdr.training.generator_validation import dev_texts, sample_check, written_languages
    from xdr.training.run import silence_libraries

    model, validation = entry.plain(settings.model), entry.plain(settings.callbacks.validation)
    task = Task(model["direction"], model["language_at"], **model["reading"])
    task = written_languages(task, data.examples)
    texts = texts_by_language(data.examples)
    new = {**_new_model(settings), "texts": chain(*texts.values())} if _new_model(settings) else {}
    silence_libraries()
    generator, reader = entry.build(settings.model, "direction", "language_at", "reading", "optimizer", task=task, **new)
    identifier = train_identifier(texts)
    dev_set = dev_texts(reader, dev, validation.pop("largest_dev"))
    validation.pop("monitor")
    return fit_generator(
        generator,
        reader,
        identifier,
        data,
        dev_set,
        sample_check(reader, dev_set, identifier, settings.seed, **validation) if dev_set else None,
        _batches(settings),
        WritingOptimizer(**model["optimizer"]),
        _run(settings, logger, bool(dev_set)),
        console,
    )


def _run(
    settings: "DictConfig", logger: "Logger | None", validates: bool, pool: "ValidationPool | None" = None
) -> "TrainingRun":
    from callbacks.build import build_callbacks
    from callbacks.retrieval_evaluation import RetrievalValidation
    from xdr.training.run import Kept, TrainingRun

    checkpoints = settings.callbacks.checkpoints
    output_dir, validation, writes = Path(settings.output_dir), settings.callbacks.validation, "direction" in settings.model
    others = (
        build_callbacks(
            output_dir,
            settings.seed,
            checkpoints.every_num_steps,
            checkpoints.keep,
            validation.monitor if validates else None,
            writes,
            settings.trainer.enable_progress_bar,
            logger,
        )
        if logger is not None
        else []
    )
    return TrainingRun(
        output_dir=output_dir,
        seed=settings.seed,
        resume=settings.resume,
        monitor=validation.monitor,
        trainer=entry.plain(settings.trainer),
        callbacks=[*([RetrievalValidation(pool)] if pool is not None else []), *others],
        logger=logger,
        planned=Kept(checkpoints.every_num_steps, checkpoints.keep) if settings.plan else None,
        settings={name: entry.plain(settings[name]) for name in ("data", "model")} | {"seed": settings.seed},
    )


def _model_files(output_dir: Path) -> list[Path]:
    """The best checkpoint, or without validation the newest, and what its weights belong to."""
    from xdr.storage.model_folders import MODEL
    from xdr.training.checkpoints import CheckpointFolder

    checkpoints = CheckpointFolder(output_dir / "checkpoints")
    best = checkpoints.best if checkpoints.best.is_file() else checkpoints.newest_whole()[0]
    return [best, checkpoints.folder / MODEL] if best is not None else []


def _batches(settings: "DictConfig") -> "BatchSettings":
    from xdr.training.bi_encoder_data import BatchSettings

    batches = entry.plain(settings.data.batches)
    batches.pop("language_weights")
    return BatchSettings(**batches)


def _new_model(settings: "DictConfig") -> dict[str, object]:
    """Of a small model, that is made on the spot."""
    if "layers" not in settings.model:
        return {}
    return {"folder": Path(settings.output_dir) / "initial_model", "seed": settings.seed}


if __name__ == "__main__":
    entry.run("train", main)
