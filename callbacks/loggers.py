"""Loggers that `conf/logger/*.yaml` names, and how a job ends its logger."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from callbacks.wandb_logger import WandbLogger, WandbRun, has_key, say
from xdr.errors import UserError
from xdr.storage.fingerprint import Json


def tensorboard(output_dir: str) -> Logger:
    """TensorBoard's event files in the output folder."""
    try:
        return TensorBoardLogger(output_dir, name="", version="")
    except ModuleNotFoundError as error:
        raise UserError("logger=tensorboard needs its package: pip install 'xdr[tensorboard]'") from error


def wandb(
    output_dir: str,
    project: str,
    group: str | None,
    name: str | None,
    tags: Sequence[str],
    artifacts: bool,
    offline: bool,
    *,
    job_type: str,
    run_config: Mapping[str, Json],
) -> Logger:
    """Weights & Biases. The run is written offline without a key or network. `artifacts` keeps checkpoints or reports in W&B;
    `run_config` is shown with the run."""
    if not offline and "WANDB_MODE" not in os.environ and not has_key():
        say("W&B has no key here, so this run is written offline; `wandb login`, and the next one is online")
        offline = True
    run = WandbRun(project, group, job_type, name, tags, run_config)
    return WandbLogger(Path(output_dir), run, offline=offline, artifacts=artifacts)


@contextmanager
def ending(logger: Logger) -> Iterator[Logger]:
    """Ends the logger with its job, also when the job fails."""
    failed = True
    try:
        yield logger
        failed = False
    finally:
        if isinstance(logger, WandbLogger):
            logger.close(failed=failed)
