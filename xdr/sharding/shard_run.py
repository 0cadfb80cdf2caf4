"""What all work on shards shares: a trainer that only visits shards, and progress over all processes."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl

from xdr.sharding.shards import Shards
from xdr.training.run import make_lightning, silence_libraries
from xdr.training.signals import EndAtOnce

LEDGER_POLL_SECONDS = 2.0
"""How often a process looks for shards that other processes have finished."""


def make_trainer(settings: Mapping[str, Any], callbacks: Sequence[pl.Callback] = (), logger: Any = False) -> pl.Trainer:
    silence_libraries()
    return make_lightning(
        **{key: value for key, value in settings.items() if key != "enable_progress_bar"},
        logger=logger,
        callbacks=[EndAtOnce(), *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # PyTorch sets it for one thread, and the search uses several
    )


class ShardProgress:
    """Counts what all processes have done since the start: finished shards, plus what this process did of its current one."""

    def __init__(self, shards: Shards, per_source: int, show: Callable[[int], None]) -> None:
        """A source adds `per_source` to the count: one passage, or all its generated texts."""
        self._shards, self._per_source, self._show = shards, per_source, show
        self._total = shards.num_missing() * per_source
        self._finished = self._in_current = 0
        self._polled = 0.0

    def end(self) -> None:
        """All shards exist."""
        if self._total:
            self._show(self._total)

    def report(self, more: int) -> None:
        self._in_current += more
        if time.monotonic() - self._polled > LEDGER_POLL_SECONDS:
            self._polled = time.monotonic()
            finished = self._total - self._shards.num_missing() * self._per_source
            if finished > self._finished:
                self._finished, self._in_current = finished, 0
        self._show(min(self._total, self._finished + self._in_current))
