"""What asks a run to end, and is heard."""

import signal
import sys
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn

from xdr.errors import STOPPED

ASKING = (signal.SIGINT, signal.SIGTERM)


class EndAtOnce(pl.Callback):
    """All but training ends where it is: what is on the disk is whole at any moment. Lightning lets SIGTERM pass unheard there,
    and ends without a word on Ctrl-C; afterwards it puts back the handlers that were there before."""

    def _listen(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        def end(number: int, frame: FrameType | None) -> None:
            launcher: Any = trainer.strategy.launcher
            if number == signal.SIGTERM and launcher is not None:
                launcher.kill(
                    number
                )  # a terminal tells all processes of Ctrl-C, but who sends SIGTERM may tell the first alone
            if not trainer.is_global_zero:
                raise SystemExit(0)  # of another status Lightning kills the first process, at once
            print(f"\n{STOPPED}", file=sys.stderr, flush=True)
            raise SystemExit(128 + number)

        for number in ASKING:
            signal.signal(number, end)

    on_test_start = on_predict_start = _listen

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._listen(trainer, pl_module)
