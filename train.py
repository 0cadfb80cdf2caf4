"""Builds what an experiment names and fits it. See `python train.py --help`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from conf import entry, targets
from conf.schema import BESIDE
from xdr.data.first_lines import read_first_examples
from xdr.data.problems import Problems

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig

SCORING = ("score_scale", "learn_scale", "chunk_size")
"""Settings of a retriever's model that its module takes."""


def main(settings: "DictConfig") -> float | None:
    """Trains. Returns the monitored metric of the best checkpoint."""
    benchmark, problems = entry.build_benchmark(settings), Problems(settings.data.strict, settings.data.verify)
    if settings.data.mined is None:  # takes the place of the examples
        read_first_examples(benchmark, "train", problems)  # before the imports that take seconds
    from rich.console import Console

    from callbacks.wandb_logger import log_files
    from xdr.pipelines.train import TrainingInputs, model_files
    from xdr.storage.locks import alone_in
    from xdr.training.run import Kept, TrainingRun

    output_dir, console = Path(settings.output_dir), Console(quiet=int(os.environ.get("LOCAL_RANK", 0)) > 0)
    made_by = ["data", "model", "objective", *(["noise"] if settings.noise else [])]
    checkpoints, validation = (settings.callbacks[name] or {} for name in ("checkpoints", "validation"))

    def fit(callbacks: list[str], logger: "Logger | None") -> float | None:
        run = TrainingRun(
            output_dir=output_dir,
            seed=settings.seed,
            resume=settings.resume,
            monitor=checkpoints.get("monitor", ""),
            trainer=entry.plain(settings.trainer),
            settings={name: entry.plain(settings[name]) for name in made_by} | {"seed": settings.seed},
            callbacks=[
                entry.build(settings, f"callbacks.{name}") for name in callbacks if settings.callbacks[name] is not None
            ],
            logger=logger,
            planned=Kept(checkpoints.get("every_num_steps", 0), checkpoints.get("keep", 0)) if settings.plan else None,
        )
        inputs = TrainingInputs(
            model=entry.build(settings, "model", *BESIDE["model"]),
            optimizer=entry.build(settings, "model.optimizer"),
            objective=entry.build_objective(settings),
            scoring={name: settings.model[name] for name in SCORING if name in settings.model},
            benchmark=benchmark,
            batches=entry.build(settings, "data.batches"),
            negatives=settings.data.negatives,
            teacher_scores=settings.data.teacher_scores,
            mined=settings.data.mined,
            twins=entry.build_twins(settings),
            noise=entry.build(settings, "noise"),
            strict=settings.data.strict,
            verify=settings.data.verify,
            validates=validation.get("largest_pool", 0) + validation.get("largest_dev", 0) > 0,
            run=run,
            console=console,
        )
        value: float | None = targets.locate(str(settings.model.pipeline), tuple(settings.plugins), "model.pipeline")(inputs)
        return value

    if settings.plan:
        return fit(["validation"], None)
    with alone_in(output_dir), entry.logging(settings, "train") as logger:
        value = fit(list(map(str, settings.callbacks)), logger)
        log_files(logger, "model", model_files(output_dir))
        return value


if __name__ == "__main__":
    entry.run("train", main)
