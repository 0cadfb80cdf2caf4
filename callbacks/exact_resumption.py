"""Random numbers as a function of (seed, rank, step), so that a resumed run draws those of an uninterrupted one."""

from typing import Any

import lightning.pytorch as pl
import torch


class ReseedEachStep(pl.Callback):
    """Lightning saves no state of random numbers; with this callback no state needs saving."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed(((self._seed * 1_000_003 + step) * 1_009 + trainer.global_rank) % 2**63)
