"""A plan compared with arithmetic by hand; what it leaves on the disk; what it refuses."""

import time
from io import StringIO
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from lightning.pytorch.utilities.types import STEP_OUTPUT
from rich.console import Console

from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.runs import run, start
from xdr.errors import UserError
from xdr.pipelines.plan_training import Stopwatch
from xdr.pipelines.training_length import Length
from xdr.sharding.memory import Memory, explaining_device_memory
from xdr.sharding.plan import PlannedStage, Term, measured_time, plan_table, refuse_what_cannot_fit, spaced
from xdr.sharding.shards import Shards, queries_as_sources
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
    memory = [Memory("memory", peak, 2e9)]
    return PlannedStage("training", time, [Term(3, "checkpoints", disk)], folder, memory, processes=2)


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
        ({"max_steps": 100, "max_epochs": -1}, 100, 2),
        ({"max_steps": 100, "max_epochs": None}, 100, 2),
        ({"check_val_every_n_epoch": 3}, 360, 3),
        ({"val_check_interval": 0.25}, 360, 40),
        ({"val_check_interval": 10}, 360, 30),
        ({"val_check_interval": 100, "check_val_every_n_epoch": None}, 360, 3),
    ],
)
def test_steps_and_validations_follow_from_the_trainer_s_settings(
    changes: dict[str, object], steps: int, validations: int
) -> None:
    assert Length.of(36, {**TRAINER, **changes}) == Length(steps, validations, 100 / 36 if "max_steps" in changes else 10)


def test_a_training_without_an_end_is_refused() -> None:
    with pytest.raises(UserError, match=r"trainer.max_epochs or trainer.max_steps must end the training"):
        Length.of(36, {**TRAINER, "max_epochs": -1})


def test_a_probe_grows_until_the_next_would_exceed_the_budget() -> None:
    sizes: list[int] = []

    def probe(size: int) -> float:
        """Three seconds more for the first call, two for each call, and half a second a unit."""
        sizes.append(size)
        return 3.0 * (len(sizes) == 1) + 2.0 + 0.5 * size

    assert measured_time(probe, 1000, "passages", most=50, budget=72.0) == [
        Term(1, "start", 5.0),  # 5.5 for the first unit, of which half a second counts as every unit's
        Term(1000, "passages", 0.5),
    ]
    assert sizes == [1, 8, 32, 50]
    sizes.clear()
    measured_time(probe, 1000, "passages", budget=71.0)
    assert sizes == [1, 8, 32], "32 units took 18 seconds, and 128 could take 72"
    sizes.clear()
    assert measured_time(probe, 1000, "passages", budget=0.0)[1].each == 0.75, "one probe: 6 seconds for 8"
    assert measured_time(probe, 0, "passages") == [Term(0, "passages", 0.0)]


def test_a_probe_s_rows_are_spread_over_the_collection() -> None:
    assert spaced(100, 4) == [0, 25, 50, 75]
    assert spaced(3, 3) == [0, 1, 2]


def test_the_busiest_process_makes_what_others_cannot_take_over(tmp_path: Path) -> None:
    """Five shards, of 10, 10, 10, 10 and 4 passages."""
    sources = queries_as_sources([Query(str(i), "?", "fi") for i in range(44)])
    ledger = ShardLedger.create(tmp_path / "ledger", "texts", 5, {})
    assert [Shards(sources, ledger, 10).most_of_one(processes) for processes in (1, 2, 4, 8)] == [44, 24, 14, 10]
    with ledger.writing(0):
        pass
    assert Shards(sources, ledger, 10).most_of_one(2) == 20


def test_what_cannot_fit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    refuse_what_cannot_fit([stage(tmp_path)], "output_dir")
    with pytest.raises(UserError, match=r"files of this job take 3,000.0 TB, and only .* are free at .* set output_dir"):
        refuse_what_cannot_fit([stage(tmp_path, disk=1e15)], "output_dir")
    with pytest.raises(UserError, match=r"training must fit into 2.0 GB of memory, and its probe took 3.0 GB"):
        refuse_what_cannot_fit([stage(tmp_path, peak=3e9)], "output_dir")


def test_too_little_memory_on_a_device_is_a_sentence_with_the_remedy() -> None:
    message = r"does not fit into the device's memory. Lower the chunks. PyTorch says: 3 GiB"
    with pytest.raises(UserError, match=message), explaining_device_memory("Lower the chunks"):
        raise torch.cuda.OutOfMemoryError("3 GiB")


def test_a_long_validation_is_cut_short_and_counted_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []

    class Slow(BoringModel):
        def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
            batches.append(batch_idx)
            time.sleep(0.01)

    monkeypatch.setattr("xdr.pipelines.plan_training.BUDGET_SECONDS", 0.1)
    watch = Stopwatch(tmp_path)
    watch.validate(trainer(watch), Slow(), BoringDataModule())
    assert len(batches) <= 11, "after ten the budget is spent"
    assert watch.validation_seconds >= 64 * 0.01, "of 64"


def test_a_step_is_timed_with_all_batches_whose_gradients_it_accumulates(tmp_path: Path) -> None:
    class Slow(BoringModel):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> STEP_OUTPUT:
            time.sleep(0.01)
            return super().training_step(batch, batch_idx)

    watch = Stopwatch(tmp_path)
    trainer(watch, max_steps=4, accumulate_grad_batches=3, limit_val_batches=0).fit(Slow(), BoringDataModule())
    assert watch.step_seconds >= 0.03
    assert watch.weight_bytes == 66 * 4 and watch.checkpoint_bytes > watch.weight_bytes
    assert not list(tmp_path.iterdir())


def trainer(watch: Stopwatch, **settings: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[watch], enable_progress_bar=False, enable_checkpointing=False, **settings
    )


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_a_sweep_is_not_planned(script: str, tmp_path: Path) -> None:
    process = start(tmp_path / "run", "-m", "data=sample", "plan=true", quick=[], script=script)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "plan=true must be used for one job, got a sweep (-m)" in output


def test_a_planned_training_shows_its_arithmetic_and_leaves_no_run(tmp_path: Path) -> None:
    output = run(tmp_path / "run", "plan=true")
    assert "72 steps x" in output
    assert "4 validations x" in output
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left <= {".hydra", "train.log", "initial_model"}, "a small model is made anew from its seed"


def test_a_planned_evaluation_shows_each_stage_and_leaves_no_vectors(trained_encoder: Path, tmp_path: Path) -> None:
    output = run(tmp_path / "run", f"checkpoint={trained_encoder}", "plan=true", quick=QUICK_EVALUATION, script="evaluate.py")
    for part in ("encoding", "search", "scoring", "in all", "144 passages x"):
        assert part in output
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not list((tmp_path / "run" / "artifacts" / "embeddings").rglob("*.npy"))
