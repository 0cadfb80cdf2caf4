"""Builds what an experiment names and fits it. `python train.py experiment=sample_bi_encoder`; See `--help`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf import entry, targets
from conf.schema import BESIDE

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig


def main(settings: "DictConfig") -> float | None:
    """Trains. Returns the monitored metric of the best checkpoint."""
    benchmark = entry.build_benchmark(settings)  # before the imports that take seconds
    from rich.console import Console

    from callbacks.build import build_callbacks
    from callbacks.retrieval_evaluation import RetrievalValidation
    from callbacks.wandb_logger import log_files
    from xdr.pipelines.train import TrainingInputs, model_files
    from xdr.training.run import Kept, TrainingRun

    output_dir, console = Path(settings.output_dir), Console(quiet=int(os.environ.get("LOCAL_RANK", 0)) > 0)
    checkpoints, validation = settings.callbacks.checkpoints, settings.callbacks.validation
    with_validation = validation.get("largest_pool", 0) + validation.get("largest_dev", 0) > 0

    def fit(callbacks: list[Any], logger: "Logger | None") -> float | None:
        run = TrainingRun(
            output_dir=output_dir,
            seed=settings.seed,
            resume=settings.resume,
            monitor=validation.monitor,
            trainer=entry.plain(settings.trainer),
            settings={name: entry.plain(settings[name]) for name in ("data", "model", "objective")} | {"seed": settings.seed},
            callbacks=callbacks,
            logger=logger,
            planned=Kept(checkpoints.every_num_steps, checkpoints.keep) if settings.plan else None,
        )
        inputs = TrainingInputs(
            model=entry.build(settings, "model", *BESIDE["model"]),
            optimizer=entry.build(settings, "model.optimizer"),
            objective=entry.build(settings, "objective"),
            benchmark=benchmark,
            batches=entry.build(settings, "data.batches"),
            negatives=settings.data.negatives,
            strict=settings.data.strict,
            validation=entry.plain(settings.callbacks.validation),
            run=run,
            console=console,
        )
        value: float | None = targets.locate(settings.model.pipeline, tuple(settings.plugins), "model.pipeline")(inputs)
        return value

    if settings.plan:
        return fit([RetrievalValidation()] if checkpoints.mode == "max" else [], None)
    with entry.logging(settings, "train") as logger:
        callbacks = build_callbacks(
            output_dir,
            settings.seed,
            checkpoints.every_num_steps,
            checkpoints.keep,
            validation.monitor if with_validation else None,
            checkpoints.mode == "min",
            settings.trainer.enable_progress_bar,
            logger,
        )
        value = fit(callbacks, logger)
        log_files(logger, "model", model_files(output_dir))
        return value


if __name__ == "__main__":
    entry.run("train", main)
