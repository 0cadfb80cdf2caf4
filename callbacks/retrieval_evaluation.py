"""Evaluation of retrieval after the embeddings of a collection are complete: when it happens, and in which order."""

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch

from xdr.pipelines.retrieval_task import EvaluationResult, RetrievalTask
from xdr.retrieval.gathering import gather_rankings
from xdr.sharding.encode import Encoding
from xdr.sharding.shard_module import ShardModule


class RetrievalEvaluation(pl.Callback):
    """At the end of a test over the collection's shards: all processes search their own, then the first one scores, tests, and
    hands the answer to `report`."""

    def __init__(self, task: RetrievalTask, report: Callable[[EvaluationResult, Any], None]) -> None:
        self._task, self._report = task, report
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
        process = pl_module.work.encoder, pl_module.device.type, trainer.global_rank, trainer.world_size
        if self._task.correcting is not None:
            self._task.measure_hubness(*process)
            trainer.strategy.barrier()
            self._ended("correction")
        found = self._task.search(*process)
        if trainer.world_size > 1:

            def gather(tensor: torch.Tensor) -> torch.Tensor:
                gathered = pl_module.all_gather(tensor.to(pl_module.device))
                assert isinstance(gathered, torch.Tensor)
                return gathered

            found = self._task.merge(gather_rankings(found, self._task.depth, gather))
        self._ended("search")
        if trainer.is_global_zero:
            if self._task.reranking is not None:
                found = self._task.reranked(found, str(pl_module.device))
                self._ended("reranking")
            self._report(self._task.answer(found), trainer.logger)
        trainer.strategy.barrier()
        self._ended("scoring")
