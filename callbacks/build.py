"""The callbacks of a training run, and the logger of any job."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from callbacks.checkpoints import KeepCheckpoints
from callbacks.exact_resumption import ReseedEachStep
from callbacks.generated_samples import KeepWrittenSamples
from callbacks.retrieval_evaluation import RetrievalValidation
from callbacks.same_wandb_run import SameWandbRun
from callbacks.wandb_logger import Labels, WandbLogger, has_key, say
from xdr.errors import UserError
from xdr.storage.fingerprint import Json
from xdr.training.checkpoints import CheckpointFolder


def build_callbacks(
    output_dir: Path, seed: int, every_num_steps: int, keep: int, monitor: str | None, writes: bool, bar: bool, logger: Logger
) -> list[pl.Callback]:
    """`writes`: of a query generator, whose best loss is the lowest and whose texts are kept."""
    callbacks: list[pl.Callback] = [
        *([] if writes else [RetrievalValidation()]),
        ReseedEachStep(seed),
        KeepCheckpoints(CheckpointFolder(output_dir / "checkpoints"), every_num_steps, keep, monitor, lowest=writes),
        *([KeepWrittenSamples(output_dir)] if writes else []),
        *([SameWandbRun(logger)] if isinstance(logger, WandbLogger) else []),
    ]
    return [*callbacks, RichProgressBar(leave=False)] if bar else callbacks


@contextmanager
def logging_to(kind: str, output_dir: Path, labels: Labels, config: Mapping[str, Json]) -> Iterator[Logger]:
    """The logger of one job, which ends with it, come what may."""
    logger = build_logger(kind, output_dir, labels, config)
    failed = True
    try:
        yield logger
        failed = False
    finally:
        if isinstance(logger, WandbLogger):
            logger.close(failed=failed)


def build_logger(kind: str, output_dir: Path, labels: Labels, config: Mapping[str, Json]) -> Logger:
    """`csv`, `tensorboard`, `wandb`, or `offline`: W&B without a network."""
    if kind == "csv":
        return CSVLogger(output_dir, name="", version="")
    if kind == "tensorboard":
        try:
            return TensorBoardLogger(output_dir, name="", version="")
        except ModuleNotFoundError as error:
            raise UserError("logger=tensorboard needs its package: pip install 'xdr[tensorboard]'") from error

    offline = kind == "offline"
    if not offline and "WANDB_MODE" not in os.environ and not has_key():
        say("W&B has no key here, so this run is written offline; `wandb login`, and the next one is online")
        offline = True
    return WandbLogger(output_dir, labels, config, offline=offline)
