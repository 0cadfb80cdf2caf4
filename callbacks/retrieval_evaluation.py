"""Evaluation of retrieval after the embeddings of a collection are complete: when it happens, and in which order."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch

from xdr.retrieval.gathering import gather_rankings
from xdr.retrieval.rankings import Rankings
from xdr.sharding.encode import Encoding
from xdr.sharding.engine import Engine
from xdr.sharding.shard_module import ShardModule
from xdr.tasks.retrieval_task import EvaluationResult, RetrievalTask


class RetrievalEvaluation(pl.Callback):
    """At the end of a test over the collection's shards: all processes search their own, then the first one scores, tests, and
    hands the answer to `report`."""

    def __init__(self, task: RetrievalTask, report: Callable[[EvaluationResult, Any], None], engine: Engine) -> None:
        self._task, self._report, self._engine = task, report, engine
        self.seconds: dict[str, float] = {}
        """Of each stage, in this process."""
        self._since = 0.0

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.perf_counter()

    def _ended(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._since = now - self._since, now

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.strategy.barrier()  # others may be at their last shard
        self._ended("encoding")
        assert isinstance(pl_module, ShardModule) and isinstance(pl_module.work, Encoding)
        task, encoder, device = self._task, pl_module.work.encoder, pl_module.device
        if task.correcting is not None:
            measure = partial(task.measure_hubness, encoder, device.type)
            self._engine.spread("hubness", measure, trainer, lambda own: [own])
            self._ended("correction")

        def gather(own: dict[str, Rankings]) -> list[dict[str, Rankings]]:
            return gather_rankings(own, task.depth, lambda tensor: _gathered(pl_module, tensor.to(device)))

        found = self._engine.spread("search", partial(task.search, encoder, device.type), trainer, gather)
        if found is None:
            return
        merged = task.merge(found)
        self._ended("search")
        if trainer.is_global_zero:
            if task.reranking is not None:
                merged = task.reranked(merged, str(device))
                self._ended("reranking")
            if task.mixing is not None:
                merged = task.mixed(merged)
            self._report(task.answer(merged), trainer.logger)
        trainer.strategy.barrier()
        self._ended("scoring")


def _gathered(module: pl.LightningModule, tensor: torch.Tensor) -> torch.Tensor:
    gathered = module.all_gather(tensor)
    assert isinstance(gathered, torch.Tensor)
    return gathered
