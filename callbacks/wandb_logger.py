"""The one file that knows W&B."""

from pathlib import Path

from lightning.pytorch.loggers import Logger, WandbLogger


def wandb_logger(output_dir: Path, *, offline: bool) -> Logger:
    return WandbLogger(project="xdr", save_dir=output_dir, offline=offline)
