"""The callbacks and the logger of a training run."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from callbacks.checkpoints import KeepCheckpoints
from callbacks.exact_resumption import ReseedEachStep
from callbacks.written_samples import KeepWrittenSamples
from xdr.errors import UserError
from xdr.training.checkpoints import CheckpointFolder


def build_callbacks(
    output_dir: Path, seed: int, every_num_steps: int, keep: int, monitor: str | None, writes: bool, bar: bool
) -> list[pl.Callback]:
    """`writes`: of a query generator, whose best loss is the lowest and whose texts are kept."""
    callbacks: list[pl.Callback] = [
        ReseedEachStep(seed),
        KeepCheckpoints(CheckpointFolder(output_dir / "checkpoints"), every_num_steps, keep, monitor, lowest=writes),
        *([KeepWrittenSamples(output_dir)] if writes else []),
    ]
    return [*callbacks, RichProgressBar(leave=False)] if bar else callbacks


def build_logger(name: str, output_dir: Path) -> Logger:
    """`csv`, `tensorboard`, `wandb`, or `offline`: W&B without a network."""
    if name == "csv":
        return CSVLogger(output_dir, name="", version="")
    if name == "tensorboard":
        try:
            return TensorBoardLogger(output_dir, name="", version="")
        except ModuleNotFoundError as error:
            raise UserError("logger=tensorboard needs its package: pip install 'xdr[tensorboard]'") from error
    from callbacks.wandb_logger import wandb_logger

    return wandb_logger(output_dir, offline=name == "offline")
