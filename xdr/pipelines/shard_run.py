"""What all work on shards has in common: a trainer that only walks, progress over all processes, and a full disk said
plainly."""

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl

from xdr.errors import UserError
from xdr.pipelines.shards import Shards
from xdr.training.run import silence_libraries
from xdr.training.signals import EndAtOnce

_LOOKS_APART = 2.0
"""Seconds between two looks at the disk."""


def make_trainer(settings: Mapping[str, Any], callbacks: Sequence[pl.Callback] = (), logger: Any = False) -> pl.Trainer:
    silence_libraries()
    return pl.Trainer(
        **{key: value for key, value in settings.items() if key != "enable_progress_bar"},
        logger=logger,
        callbacks=[EndAtOnce(), *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # it is a thread's own, and the search has several
    )


class ShardProgress:
    """What all processes have done since the start: their shards, and this one's share of the shard it is at."""

    def __init__(self, shards: Shards, each: int, show: Callable[[int], None]) -> None:
        """`each` source counts so much."""
        self._shards, self._each, self._show = shards, each, show
        self._total = shards.num_missing() * each
        self._done = self._own = 0
        self._looked = 0.0

    def report(self, more: int) -> None:
        self._own += more
        if time.monotonic() - self._looked > _LOOKS_APART:
            self._looked = time.monotonic()
            done = self._total - self._shards.num_missing() * self._each
            if done > self._done:
                self._done, self._own = done, 0
        self._show(min(self._total, self._done + self._own))


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(
            "the disk is full; the shards that are there are whole. Make room, and the same command goes on"
        ) from error
