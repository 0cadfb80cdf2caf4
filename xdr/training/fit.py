"""One run from its parts: where it goes on, and the encoder it leaves."""

import errno
import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from xdr.data.batches import epoch_batches
from xdr.data.training_set import TrainingSet
from xdr.data.validation_pool import ValidationPool
from xdr.errors import UserError, shown
from xdr.models.bi_encoder import BiEncoder
from xdr.models.encoder_folder import save_encoder
from xdr.models.tokenization import TextReader
from xdr.training.bi_encoder_data import BatchSettings, BiEncoderData
from xdr.training.bi_encoder_module import BiEncoderModule, Objective, Optimizer
from xdr.training.checkpoints import CheckpointFolder, WholeCheckpoints


@dataclass(frozen=True)
class Run:
    """What a run is besides its model and data. `settings` are plain values that tell whether a checkpoint is this run's."""

    output_dir: Path
    seed: int
    resume: str
    monitor: str
    trainer: dict[str, Any]
    settings: dict[str, Any]
    callbacks: Sequence[pl.Callback] = ()
    logger: Any = None

    @property
    def checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.output_dir / "checkpoints")


def fit_bi_encoder(
    bi_encoder: BiEncoder,
    reader: TextReader,
    data: TrainingSet,
    pool: ValidationPool | None,
    batches: BatchSettings,
    objective: Objective,
    optimizer: Optimizer,
    run: Run,
    console: Console,
) -> float | None:
    """Trains, from the newest whole checkpoint if there is one, and leaves `encoder/` (and `passage_encoder/`, if untied) in
    the output folder. Returns the best value of the monitored figure."""
    _quieten()
    pl.seed_everything(run.seed, verbose=False)
    num_steps = number_of_steps(data, batches, run)
    module = BiEncoderModule(bi_encoder, objective, optimizer, num_steps, pool, run.settings)
    module.train()  # Hugging Face loads models in eval mode, and Lightning leaves the mode as it is
    data_module = BiEncoderData(data, pool, reader, batches, run.seed)
    trainer = pl.Trainer(
        **run.trainer,
        default_root_dir=run.output_dir,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=run.logger,
        callbacks=list(run.callbacks),
        plugins=[WholeCheckpoints()],
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    start = checkpoint_to_resume(run, console)
    try:
        if pool is not None and start is None:
            before = trainer.validate(module, data_module, verbose=False)[0]
            console.print(_line("untrained", before))
        trainer.fit(module, data_module, ckpt_path=start, weights_only=True)
        if module.asked_to_end or trainer.interrupted:
            console.print(f"stopped at step {trainer.global_step}; the same command goes on", style="yellow")
            return None
        best = run.checkpoints.best
        if pool is not None and best.exists():
            state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
            module.load_state_dict(state)
        value = None
        if pool is not None:
            after = trainer.validate(module, data_module, verbose=False)[0]
            console.print(_line("best", after))
            value = after.get(run.monitor)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError("the disk is full; the last checkpoint is whole. Make room, and the same command goes on") from error
    if trainer.is_global_zero:
        leave_encoders(module.bi_encoder, reader, run.output_dir)
        console.print(f"the encoder is in {run.output_dir / 'encoder'}", markup=False, soft_wrap=True)
    return value


def number_of_steps(data: TrainingSet, batches: BatchSettings, run: Run) -> int:
    """Of the optimiser. Lightning's own estimate sets up the loader before a checkpoint's state of it is there to be read,
    which is then lost."""
    num_batches = len(epoch_batches(data, batches.order, batches.size, batches.monolingual_share, run.seed, 0))
    most = run.trainer["max_epochs"] * -(-num_batches // run.trainer["accumulate_grad_batches"])
    return int(min(most, run.trainer["max_steps"]) if run.trainer["max_steps"] > 0 else most)


def checkpoint_to_resume(run: Run, console: Console) -> Path | None:
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


def leave_encoders(bi_encoder: BiEncoder, reader: TextReader, output_dir: Path) -> None:
    towers = {"encoder": bi_encoder.encoder, "passage_encoder": bi_encoder.passage_encoder}
    for name, tower in towers.items():
        if tower is not None:
            shutil.rmtree(output_dir / name, ignore_errors=True)
            save_encoder(tower.cpu(), reader, output_dir / name)


def _line(name: str, figures: Mapping[str, float]) -> str:
    names = ("recall@1", "recall@10", "recall@100", "MRR")
    return f"{name:>10}  " + "  ".join(f"{key} {figures[f'dev/{key}']:.3f}" for key in names)


def _quieten() -> None:
    """Tips and warnings that the user can do nothing about."""
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*`isinstance.treespec, LeafSpec.*",
        ".*TreeSpec.*",
        ".*sync_dist.*",
        "Experiment logs directory.*",
    ):
        warnings.filterwarnings("ignore", pattern)
