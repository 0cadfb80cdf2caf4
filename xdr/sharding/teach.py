"""A teacher's scores of the lists of a training set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from xdr.sharding.engine import Engine
from xdr.sharding.memory import TO_TEACH, measured_memory
from xdr.sharding.plan import PlannedStage, Term, measured_time, plan_table, refuse_what_cannot_fit, seconds_of, spaced
from xdr.sharding.shard_module import ShardJob, make_shards, run_probe
from xdr.sharding.shard_run import ShardProgress
from xdr.sharding.shards import Shards
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.teaching.lists import Lists, TaughtList
from xdr.teaching.scores import KIND, TaughtScores, scored, write_scores
from xdr.teaching.teacher import LoadedTeacher, Teacher

SCORES_FORMAT = 1
BYTES_OF_A_SCORE = 40
"""About: an id and a number."""


@dataclass(frozen=True)
class TeachingJob:
    """Which lists are scored, by whom, and where the scores are stored."""

    loaded: LoadedTeacher
    lists: Lists
    shard_size: int
    artifacts_dir: Path

    def shards(self, precision: str) -> Shards[TaughtList]:
        """The shards in a folder that is named by the fingerprint of teacher, lists and settings."""
        made_by: dict[str, Json] = {
            "teacher": self.loaded.fingerprint,
            "lists": self.lists.fingerprint,
            "num_lists": len(self.lists),
            "shard_size": self.shard_size,
            "precision": precision,
            "format": SCORES_FORMAT,
        }
        folder = self.artifacts_dir / "taught" / fingerprint(made_by)
        ledger = ShardLedger.create(folder, KIND, -(-len(self.lists) // self.shard_size), made_by)
        return Shards(self.lists, ledger, self.shard_size)


def score_lists(job: TeachingJob, trainer_settings: dict[str, Any], console: Console, engine: Engine) -> TaughtScores:
    """Makes the missing shards and returns all scores."""
    shards = job.shards(str(trainer_settings["precision"]))

    def work_on(device: torch.device, progress: ShardProgress) -> _Scoring:
        return _Scoring(job.loaded.on(device), shards, progress)

    make_shards(ShardJob(job.loaded.models, work_on, shards, "lists", TO_TEACH), trainer_settings, console, engine)
    return TaughtScores(shards.ledger.folder)


@dataclass(frozen=True)
class _Scoring:
    teacher: Teacher
    shards: Shards[TaughtList]
    progress: ShardProgress

    def begin(self, num_processes: int) -> None:
        pass

    def attempt(self, first: int, stop: int) -> None:
        scored(self.teacher, list(self.shards.sources.slice(first, stop)))

    def make(self, shard: int, without: tuple[int, ...]) -> None:
        lists = self.shards.items(shard, without)
        scores = scored(self.teacher, lists)
        with self.shards.ledger.writing(shard, self.shards.ids(without)) as folder:
            write_scores(scores, folder)
        self.progress.report(len(lists))


def plan_scores(job: TeachingJob, trainer_settings: dict[str, Any], console: Console) -> None:
    """Prints what the missing shards will take, and refuses a job that cannot fit."""
    shards, lists = job.shards(str(trainer_settings["precision"])), job.lists.lists
    stages: list[PlannedStage] = []

    def probe(device: torch.device, rank: int, processes: int) -> None:
        teacher = job.loaded.on(device)

        def score(number: int) -> float:
            return seconds_of(lambda: scored(teacher, [lists[row] for row in spaced(len(lists), number)]))

        most = min(len(lists), job.shard_size)
        time = measured_time(score, shards.most_of_one(processes), "lists", most=most)
        disk = [Term(shards.num_missing(), "lists", BYTES_OF_A_SCORE * job.lists.num_pairs / len(lists))]
        stages.append(PlannedStage("teaching", time, disk, shards.ledger.folder, measured_memory(device), processes))

    run_probe(job.loaded.models, probe, trainer_settings, TO_TEACH)
    console.print(plan_table(stages))
    refuse_what_cannot_fit(stages, "artifacts_dir")
