"""What a run is besides its model and data, and where it goes on."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from xdr.errors import UserError, shown
from xdr.training.checkpoints import CheckpointFolder, WholeCheckpoints
from xdr.training.signals import EndAtOnce


@dataclass(frozen=True)
class Kept:
    """Checkpoints: how many steps apart, and how many of them stay."""

    every_num_steps: int
    number: int


@dataclass(frozen=True)
class TrainingRun:
    """What a run is besides its model and data. `settings` are plain values that tell whether a checkpoint is this run's. One
    that says what is `planned` to be kept is only planned."""

    output_dir: Path
    seed: int
    resume: str
    monitor: str
    trainer: dict[str, Any]
    settings: dict[str, Any]
    callbacks: Sequence[pl.Callback] = ()
    logger: Any = None
    planned: Kept | None = None

    @property
    def checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.output_dir / "checkpoints")


def training_trainer(run: TrainingRun, **changes: Any) -> pl.Trainer:
    return pl.Trainer(
        **{**run.trainer, **changes},
        default_root_dir=run.output_dir,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=run.logger,
        callbacks=[EndAtOnce(), *run.callbacks],
        plugins=[WholeCheckpoints()],
        enable_checkpointing=False,
        enable_model_summary=False,
    )


def checkpoint_to_resume(run: TrainingRun, console: Console) -> Path | None:
    if run.resume == "never":
        if any(run.checkpoints.folder.glob("step-*.ckpt")):
            raise UserError(f"resume=never, and {run.checkpoints.folder} holds a run; choose another output_dir, or remove it")
        return None
    if run.resume != "auto":
        path = Path(run.resume)
        if not path.is_file():
            raise UserError(f"resume={run.resume} is no checkpoint; it is a path, auto, or never")
    else:
        found, broken = run.checkpoints.newest_whole()
        for damaged in broken:
            console.print(f"{damaged} is not whole and is passed over", style="yellow", markup=False)
        if found is None:
            return None
        path = found
    _refuse_foreign(path, run.settings)
    console.print(f"going on from {path}", markup=False, soft_wrap=True)
    return path


def _refuse_foreign(path: Path, settings: dict[str, Any]) -> None:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    theirs = checkpoint.get("hyper_parameters", {}).get("settings", {})
    different = [
        f"{name} was {shown(was)} and is now {shown(now)}" for name, was, now in _differences(theirs, settings) if was != now
    ]
    if different:
        raise UserError(
            f"{path} is of a run with other settings: {'; '.join(different[:3])}. Choose another output_dir, or set them back"
        )


def _differences(was: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(was, dict) and isinstance(now, dict):
        keys = [*was, *(key for key in now if key not in was)]
        return [found for key in keys for found in _differences(was.get(key), now.get(key), f"{name}.{key}".lstrip("."))]
    return [(name, was, now)]


def silence_libraries() -> None:
    """Tips and warnings that the user can do nothing about, and bars of milliseconds; a download keeps its own."""
    downloads_show = not are_progress_bars_disabled()
    disable_progress_bar()
    if downloads_show:
        enable_progress_bars()
    for name in (
        "pytorch.utilities.rank_zero",
        "pytorch.trainer.connectors.checkpoint_connector",
        "fabric.utilities.distributed",
    ):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    for name in ("lightning.pytorch", "lightning.fabric", "huggingface_hub"):
        library = logging.getLogger(name)
        if library.propagate and logging.getLogger().handlers:  # Hydra's: each line came twice
            library.handlers.clear()
    for pattern in (
        ".*does not have many workers.*",
        ".*`isinstance.treespec, LeafSpec.*",
        ".*TreeSpec.*",
        ".*sync_dist.*",
        ".*smaller than the logging interval.*",
        ".*all_gather is deprecated.*",
        "Experiment logs directory.*",
        "predict returned None.*",
    ):
        warnings.filterwarnings("ignore", pattern)
