"""What a plan says, against arithmetic by hand; that it leaves nothing; what it refuses."""

import math
import time
from io import StringIO
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from rich.console import Console

from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.runs import run, start
from xdr.errors import UserError
from xdr.pipelines.plan import (
    Memory,
    PlannedStage,
    Probe,
    Term,
    explaining_device_memory,
    plan_table,
    refuse_what_cannot_fit,
    shown_seconds,
    spaced,
    stretches,
    timed_probe,
)
from xdr.pipelines.plan_scoring import made_up_rankings
from xdr.pipelines.plan_search import Course
from xdr.pipelines.plan_training import Length, Stopwatch
from xdr.pipelines.shards import Shards, queries_as_sources
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Query

TRAINER = {
    "max_epochs": 10,
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "val_check_interval": None,
}


def stage(folder: Path, *, disk: float = 1e6, peak: float = 1e9) -> PlannedStage:
    time = [Term(360, "steps", 0.25), Term(3, "validations", 10.0)]
    return PlannedStage("training", time, [Term(3, "checkpoints", disk)], folder, Memory(peak, 2e9), processes=2)


def test_time_and_disk_are_the_sums_that_are_shown(tmp_path: Path) -> None:
    planned = stage(tmp_path)
    assert planned.seconds == 360 * 0.25 + 3 * 10 == 120
    assert planned.num_bytes == 3e6
    console = Console(width=200, record=True, file=StringIO())
    console.print(plan_table([planned, planned]))
    shown = console.export_text()
    assert "360 steps x 0.25 s + 3 validations x 10 seconds, in the busiest of 2 processes" in shown
    assert shown.count("2.0 minutes") == 2 and shown.count("4.0 minutes") == 1, "of each stage, and of all"
    assert "3 checkpoints x 1.0 MB" in shown


@pytest.mark.parametrize(
    ("changes", "steps", "validations"),
    [
        ({}, 360, 10),
        ({"accumulate_grad_batches": 5}, 80, 10),  # 36 batches are 7 steps of 5 and one of 1
        ({"max_steps": 100}, 100, 2),
        ({"check_val_every_n_epoch": 3}, 360, 3),
        ({"val_check_interval": 0.25}, 360, 40),
        ({"val_check_interval": 10}, 360, 30),
        ({"val_check_interval": 100, "check_val_every_n_epoch": None}, 360, 3),
    ],
)
def test_steps_and_validations_follow_from_the_trainer_s_settings(
    changes: dict[str, object], steps: int, validations: int
) -> None:
    assert Length.of(36, {**TRAINER, **changes}) == Length(steps, validations)


def test_a_probe_doubles_until_the_next_would_be_too_long() -> None:
    numbers: list[int] = []

    def work(number: int) -> float:
        """Three seconds for the first of all, and half a second a thing."""
        numbers.append(number)
        return 3.0 * (len(numbers) == 1) + 0.5 * number

    assert timed_probe(work, 8, 50, budget=60.0) == Probe(50, 0.5, 3.0)
    assert numbers == [1, 8, 16, 32, 50]
    assert timed_probe(work, 8, 50, budget=40.0).number == 32
    assert timed_probe(work, 8, 50, budget=0.0) == Probe(8, 0.5, 0.0)


def test_a_probe_s_rows_are_spread_over_the_collection() -> None:
    assert spaced(100, 4) == [0, 25, 50, 75]
    assert spaced(3, 3) == [0, 1, 2]
    assert stretches(1000, 64)[:3] == [(0, 4), (62, 66), (125, 129)]
    assert [row for start, stop in stretches(101, 101) for row in range(start, stop)] == list(range(101))
    assert stretches(5, 2) == [(0, 1), (2, 3)]


def test_the_busiest_process_makes_what_others_cannot_take_over(tmp_path: Path) -> None:
    """Five shards, of 10, 10, 10, 10 and 4 passages."""
    sources = queries_as_sources([Query(str(i), "?", "fi") for i in range(44)])
    ledger = ShardLedger.create(tmp_path / "ledger", "texts", 5, {})
    assert [Shards(sources, ledger, 10).most_of_one(processes) for processes in (1, 2, 4, 8)] == [44, 24, 14, 10]
    with ledger.writing(0):
        pass
    assert Shards(sources, ledger, 10).most_of_one(2) == 20


def test_a_search_of_more_rows_follows_from_the_course_of_a_smaller_one() -> None:
    """A row takes a millisecond, and the candidates among n rows as many seconds as the logarithm of n has."""
    rows = tuple(range(1000, 33000, 1000))
    took = tuple(0.001 * number + math.log(number) for number in rows)
    course = Course(rows, took, took[-1] + 5)  # five seconds to rank what is left
    assert course.expected(32000, 0.001) == course.total
    assert course.expected(1_000_000, 0.001) == pytest.approx(1000 + math.log(1_000_000) + 5)
    assert course.expected(1_000_000, 0.002) == course.total + 0.002 * 968_000, "candidates never take less than nothing"


def test_a_row_takes_what_it_took_in_the_second_half() -> None:
    assert Course((1000, 2000, 3000, 4000), (9.0, 10.0, 10.5, 11.0), 20.0).late_rate == pytest.approx(0.0005)
    assert Course((500,), (2.0,), 2.5).late_rate == 0.005
    assert Course((500,), (2.0,), 2.5).expected(1000, 0.005) == 5.0


def test_made_up_rankings_hold_a_passage_once_and_what_is_wanted_two_times_of_three() -> None:
    wanted = [[row, row + 1] for row in range(300)]
    rankings = made_up_rankings(["one", "two"], wanted, 100, 100_000, 1.0, np.random.default_rng(0))
    ranks = []
    for found in rankings.values():
        assert found.rows_QK.shape == found.scores_QK.shape == (300, 100)
        assert all(
            len(set(ranking)) == 100 and 0 <= min(ranking) < max(ranking) < 100_000 for ranking in found.rows_QK.tolist()
        )
        for ranking, rows in zip(found.rows_QK.tolist(), wanted, strict=True):
            ranks += [ranking.index(row) + 1 if row in ranking else math.inf for row in rows]
    assert sum(rank <= 100 for rank in ranks) / len(ranks) == pytest.approx(2 / 3, abs=0.05)
    assert sum(rank <= 10 for rank in ranks) / len(ranks) == pytest.approx(1 / 3, abs=0.05)
    one, two = (found.rows_QK.tolist() for found in rankings.values())
    assert 0.85 < sum(len({*a} & {*b}) for a, b in zip(one, two, strict=True)) / 30_000 < 0.95


def test_rankings_for_a_tenth_of_the_queries_are_of_a_tenth_of_the_passages() -> None:
    (found,) = made_up_rankings(["one"], [[]] * 300, 10, 5000, 0.1, np.random.default_rng(0)).values()
    assert set((found.rows_QK % 10).flat) == {0} and len(np.unique(found.rows_QK)) > 450


def test_made_up_rankings_of_a_whole_collection_are_permutations_of_it() -> None:
    (found,) = made_up_rankings(["one"], [[0, 2], [1], []], 3, 3, 0.5, np.random.default_rng(0)).values()
    assert [sorted(ranking) for ranking in found.rows_QK.tolist()] == [[0, 1, 2]] * 3


def test_durations_are_in_the_unit_that_is_read_most_easily() -> None:
    assert [shown_seconds(s) for s in (0.0314, 42, 120, 7200, 864000)] == [
        "0.0314 s",
        "42 seconds",
        "2.0 minutes",
        "2.0 hours",
        "10.0 days",
    ]


def test_what_cannot_fit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    refuse_what_cannot_fit([stage(tmp_path)], "output_dir")
    with pytest.raises(UserError, match=r"files of this job take 3,000.0 TB, and .* are free at .* set output_dir"):
        refuse_what_cannot_fit([stage(tmp_path, disk=1e15)], "output_dir")
    with pytest.raises(UserError, match=r"training takes 3.0 GB of memory, and 2.0 GB are there"):
        refuse_what_cannot_fit([stage(tmp_path, peak=3e9)], "output_dir")


def test_too_little_memory_on_a_device_is_a_sentence_with_the_remedy() -> None:
    says = r"does not fit into the device's memory. Lower the chunks. It says: 3 GiB"
    with pytest.raises(UserError, match=says), explaining_device_memory("Lower the chunks"):
        raise torch.cuda.OutOfMemoryError("3 GiB")


def test_a_long_validation_is_cut_short_and_counted_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(BoringModel):
        def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
            time.sleep(0.01)

    monkeypatch.setattr("xdr.pipelines.plan_training.BUDGET", 0.1)
    watch = Stopwatch(tmp_path)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[watch], enable_progress_bar=False, enable_checkpointing=False
    )
    start = time.perf_counter()
    watch.validate(trainer, Slow(), BoringDataModule())
    assert time.perf_counter() - start < 0.5 < 64 * 0.01 <= watch.validation_seconds


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_a_sweep_is_not_planned(script: str, tmp_path: Path) -> None:
    process = start(tmp_path / "run", "-m", "data=sample", "plan=true", quick=[], script=script)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "plan=true is of one job, and a sweep has several" in output


def test_a_planned_training_shows_its_arithmetic_and_leaves_no_run(tmp_path: Path) -> None:
    output = run(tmp_path / "run", "plan=true")
    assert "72 steps x" in output
    assert "4 validations x" in output
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left <= {".hydra", "train.log", "initial_model"}, "a small model is made anew from its seed"


def test_a_planned_evaluation_shows_each_stage_and_leaves_no_vectors(trained_encoder: Path, tmp_path: Path) -> None:
    output = run(tmp_path / "run", f"checkpoint={trained_encoder}", "plan=true", quick=QUICK_EVALUATION, script="evaluate.py")
    for said in ("start", "encoding", "search", "scoring", "in all", "144 passages x"):
        assert said in output
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not list((tmp_path / "run" / "artifacts" / "embeddings").rglob("*.npy"))
