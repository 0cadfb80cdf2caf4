"""Signals that ask a run to stop."""

import signal
import sys
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn

from xdr.errors import STOPPED

ASKING = (signal.SIGINT, signal.SIGTERM)


class EndAtOnce(pl.Callback):
    """Ends validation, testing and prediction at once: files on the disk are whole at any moment. Lightning would ignore
    SIGTERM there, and end without a message on Ctrl-C. Lightning restores the earlier handlers afterwards."""

    def _listen(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        def end(number: int, frame: FrameType | None) -> None:
            launcher: Any = trainer.strategy.launcher
            if number == signal.SIGTERM and launcher is not None:
                launcher.kill(number)  # a terminal sends Ctrl-C to all processes, but SIGTERM may reach the first one only
            if not trainer.is_global_zero:
                raise SystemExit(0)  # with another status, Lightning kills the first process at once
            print(f"\n{STOPPED}", file=sys.stderr, flush=True)
            raise SystemExit(128 + number)

        for number in ASKING:
            signal.signal(number, end)

    on_test_start = on_predict_start = _listen

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._listen(trainer, pl_module)
