"""The one file that knows W&B."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger


def wandb_logger(output_dir: Path, *, offline: bool) -> Logger:
    return WandbLogger(project="xdr", save_dir=output_dir, offline=offline)


def log_table(logger: Logger | None, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """To W&B; other loggers have no tables."""
    if isinstance(logger, WandbLogger):
        logger.log_table(name, columns=list(columns), data=[list(row) for row in rows])
