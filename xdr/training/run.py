"""One training run: its trainer, and the checkpoint that it resumes from."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from xdr.errors import UserError, first_line, shown
from xdr.training.checkpoints import CheckpointFolder, WholeCheckpoints
from xdr.training.signals import EndAtOnce


@dataclass(frozen=True)
class Kept:
    """Checkpoints: how many steps apart, and how many of them stay."""

    every_num_steps: int
    number: int


@dataclass(frozen=True)
class TrainingRun:
    """A run besides its model and data.

    `settings` are plain values; a checkpoint with other settings is refused. `trainer` are arguments of Lightning's Trainer.
    `monitor` is the metric that chooses the best checkpoint. A run with `planned` is only planned, not done."""

    output_dir: Path
    seed: int
    resume: str
    monitor: str
    trainer: dict[str, Any]
    settings: dict[str, Any]
    callbacks: Sequence[pl.Callback] = ()
    logger: Any = None
    planned: Kept | None = None

    def with_tokenizer(self, fingerprint: str) -> "TrainingRun":
        """A run that does not go on with another tokenizer, of the same name but with other files."""
        return replace(self, settings={**self.settings, "tokenizer": fingerprint})

    @property
    def checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.output_dir / "checkpoints")


def training_trainer(run: TrainingRun, **changes: Any) -> pl.Trainer:
    """Lightning's trainer with the run's callbacks. A progress bar is left out where `trainer.enable_progress_bar` is false."""
    settings = {**run.trainer, **changes}
    with_bar = settings.get("enable_progress_bar", True)
    callbacks = [callback for callback in run.callbacks if with_bar or not isinstance(callback, ProgressBar)]
    return make_lightning(
        **settings,
        default_root_dir=run.output_dir,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=run.logger,
        callbacks=[EndAtOnce(), *callbacks],
        plugins=[WholeCheckpoints()],
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_model_summary=False,
    )


def make_lightning(**arguments: Any) -> pl.Trainer:
    """Lightning's Trainer. What it refuses of the settings under `trainer` is one sentence."""
    try:
        return pl.Trainer(**arguments)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"these settings of trainer cannot be used: {first_line(error)[:300]}") from error


def checkpoint_to_resume(run: TrainingRun, console: Console) -> Path | None:
    """Returns the checkpoint that `run.resume` asks for, or None to start anew."""
    if run.resume == "never":
        if any(run.checkpoints.folder.glob("step-*.ckpt")):
            raise UserError(
                f"resume=never needs an output_dir without checkpoints, got {run.checkpoints.folder}. Choose another "
                "output_dir, or remove that folder"
            )
        return None
    if run.resume != "auto":
        path = Path(run.resume)
        if not path.is_file():
            raise UserError(f"resume must be auto, never, or the path of a checkpoint, got {run.resume}, which is no file")
    else:
        newest, damaged = run.checkpoints.newest_whole()
        for damaged_path in damaged:
            console.print(f"Skipping {damaged_path}: it is damaged.", style="yellow", markup=False)
        if newest is None:
            return None
        path = newest
    _refuse_foreign(path, run.settings)
    console.print(f"Resuming from {path}", markup=False, soft_wrap=True)
    return path


def _refuse_foreign(path: Path, settings: dict[str, Any]) -> None:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    saved = checkpoint.get("hyper_parameters", {}).get("settings", {})
    if "tokenizer" not in saved:  # of an older version
        saved = {**saved, "tokenizer": settings.get("tokenizer")}
    different = [f"{name} was {shown(was)} and is now {shown(now)}" for name, was, now in _pairs(saved, settings) if was != now]
    if different:
        raise UserError(
            f"{path} belongs to a run with other settings: {'; '.join(different[:3])}. Choose another output_dir, or restore "
            "these settings"
        )


def _pairs(was: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Values by dotted name, before and now."""
    if isinstance(was, dict) and isinstance(now, dict):
        keys = [*was, *(key for key in now if key not in was)]
        return [pair for key in keys for pair in _pairs(was.get(key), now.get(key), f"{name}.{key}".lstrip("."))]
    return [(name, was, now)]


def silence_libraries() -> None:
    """Silences tips and warnings that the user cannot act on, and progress bars other than those of downloads."""
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
        if library.propagate and logging.getLogger().handlers:  # Hydra's; else each line comes twice
            library.handlers.clear()
    for pattern in (
        ".*does not have many workers.*",
        ".*`isinstance.treespec, LeafSpec.*",
        ".*TreeSpec.*",
        ".*sync_dist.*",
        ".*smaller than the logging interval.*",
        ".*all_gather is deprecated.*",
        "Experiment logs directory.*",
        "Checkpoint directory .* exists and is not empty.*",
        "predict returned None.*",
        "Total length of `.*` across ranks is zero.*",  # of validation that is switched off
        "`is_gradient_checkpointing` is deprecated.*",  # which peft asks for
    ):
        warnings.filterwarnings("ignore", pattern)
