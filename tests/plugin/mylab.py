"""A package that xdr does not know: a benchmark, an objective, a fusion, a callback, a backend, in the few lines they take."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.generators.generator import Generator, Reply, Request
from xdr.objectives.batch_labels import BatchLabels
from xdr.text.records import Passage, Query, TrainingExample
from xdr.vectors.fusion import Fusion
from xdr.writing.backends import HuggingFace, Loaded, Wanted


@dataclass(frozen=True)
class Rivers(Benchmark):
    """One passage a line; for each passage a query in Finnish."""

    path: str

    def passage_sources(self) -> tuple[Path, ...]:
        return (Path(self.path),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for number, line in enumerate(Path(self.path).read_text(encoding="utf-8").splitlines()):
            yield Passage(f"p{number}", "", line)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for passage in self.passages(problems):
            yield Query(f"{split}-{passage.passage_id}", f"Missä on {passage.text.split()[0]}?", "fi")

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for query, passage in zip(self.queries(split, problems), self.passages(problems), strict=True):
            yield TrainingExample(query, (passage,))


def margin(scores_QP: Tensor, labels: BatchLabels, *, width: float) -> dict[str, Tensor]:
    """A hinge on the difference between the target's score and the best other score."""
    target_scores_Q = scores_QP.gather(1, labels.targets_Q[:, None])[:, 0]
    others_QP = scores_QP.scatter(1, labels.targets_Q[:, None], -torch.inf)
    return {"margin": F.relu(width - target_scores_Q + others_QP.max(1).values).mean()}


half = Fusion("half", lambda vectors_ND, sums_ND, counts_N: (vectors_ND, vectors_ND / 2 + sums_ND / 2))


class CountSteps(pl.Callback):
    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._path.write_text(str(trainer.global_step))


@dataclass(frozen=True)
class Deadly(HuggingFace):
    """Its process dies at each source with this word."""

    word: str

    def load(self, wanted: Wanted) -> Loaded:
        loaded = super().load(wanted)
        return replace(loaded, on=lambda device: _Dying(loaded.on(device), self.word))


@dataclass(frozen=True)
class _Dying:
    generator: Generator
    word: str

    def begin(self, seed: int) -> None:
        self.generator.begin(seed)

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        return self.generator.groups(languages)

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        if any(self.word in str(request) for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        yield from self.generator.write(requests)
