"""Builds what an experiment names and fits it. `python train.py experiment=sample_bi_encoder`; `--help` tells the rest."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from conf import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(settings: "DictConfig") -> float | None:
    """Data before the model, the model before the fit: a mistake is found before anything heavy is loaded. Returns the
    monitored figure of the best checkpoint, for those who optimise it."""
    output_dir = Path(settings.output_dir)
    benchmark = entry.build_benchmark(settings.data)
    from rich.console import Console

    from xdr.data.problems import Problems
    from xdr.data.run_negatives import examples_with_negatives
    from xdr.data.summary import as_table, count_examples
    from xdr.data.training_set import training_set
    from xdr.data.validation_pool import validation_pool

    console = Console(quiet=int(os.environ.get("LOCAL_RANK", 0)) > 0)
    problems = Problems(settings.data.strict)
    train = examples_with_negatives(benchmark, settings.data.negatives, output_dir / "artifacts", problems)
    dev = list(benchmark.examples("dev", problems))
    console.print(as_table("Training examples", [*count_examples("train", train), *count_examples("dev", dev)]))
    for note in problems.report():
        console.print(note, style="yellow", markup=False)
    batches = entry.plain(settings.data.batches)
    data = training_set(train, batches.pop("language_weights"), getattr(benchmark, "weight_of", None))
    validation = settings.callbacks.validation
    pool = validation_pool(dev, train, validation.largest_pool) if validation.largest_pool else None

    from transformers.utils import logging as transformers_logging

    from callbacks.build import build_callbacks, build_logger
    from xdr.models.tokenization import Reading
    from xdr.training.bi_encoder_data import BatchSettings
    from xdr.training.bi_encoder_module import Objective, Optimizer
    from xdr.training.fit import Run, fit_bi_encoder

    transformers_logging.disable_progress_bar()
    reading = Reading(**entry.plain(settings.model.reading))
    small = {"folder": output_dir / "initial_model", "seed": settings.seed} if "family" in settings.model else {}
    bi_encoder, reader = entry.build(settings.model, "objective", "optimizer", "reading", reading=reading, **small)
    run = Run(
        output_dir=output_dir,
        seed=settings.seed,
        resume=settings.resume,
        monitor=validation.monitor,
        trainer=entry.plain(settings.trainer),
        callbacks=build_callbacks(
            output_dir,
            settings.seed,
            settings.callbacks.checkpoints.every_num_steps,
            settings.callbacks.checkpoints.keep,
            validation.monitor if pool else None,
            settings.trainer.enable_progress_bar,
        ),
        logger=build_logger(settings.logger.name, output_dir),
        settings={name: entry.plain(settings[name]) for name in ("data", "model")} | {"seed": settings.seed},
    )
    return fit_bi_encoder(
        bi_encoder,
        reader,
        data,
        pool,
        BatchSettings(**batches),
        Objective(**entry.plain(settings.model.objective)),
        Optimizer(**entry.plain(settings.model.optimizer)),
        run,
        console,
    )


if __name__ == "__main__":
    entry.run("train", main)
