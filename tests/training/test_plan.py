"""What a plan says, against arithmetic by hand; that it leaves nothing; what it refuses."""

import time
from io import StringIO
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from rich.console import Console

from tests.training.runs import run, start
from tests.training.test_evaluate import QUICK_EVALUATION
from xdr.errors import UserError
from xdr.training.plan import (
    Memory,
    Stage,
    Term,
    as_table,
    explaining_device_memory,
    refuse_what_cannot_fit,
    shown_seconds,
    spaced,
    timed_probe,
)
from xdr.training.plan_training import Length, Stopwatch

TRAINER = {
    "max_epochs": 10,
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "val_check_interval": None,
}


def stage(folder: Path, *, disk: float = 1e6, peak: float = 1e9) -> Stage:
    time = [Term(360, "steps", 0.25), Term(3, "validations", 10.0)]
    return Stage("training", time, [Term(3, "checkpoints", disk)], folder, Memory(peak, 2e9), processes=2)


def test_time_and_disk_are_the_sums_that_are_shown(tmp_path: Path) -> None:
    planned = stage(tmp_path)
    assert planned.seconds == (360 * 0.25 + 3 * 10) / 2 == 60
    assert planned.num_bytes == 3e6
    console = Console(width=200, record=True, file=StringIO())
    console.print(as_table([planned]))
    shown = console.export_text()
    assert "360 steps x 0.25 s + 3 validations x 10 seconds, on 2 processes" in shown
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
    assert timed_probe(numbers.append, 8, 50, budget=60.0)[0] == 50
    assert numbers == [1, 8, 16, 32, 50]
    assert timed_probe(numbers.append, 8, 50, budget=0.0)[0] == 8


def test_a_probe_s_rows_are_spread_over_the_collection() -> None:
    assert spaced(100, 4) == [0, 25, 50, 75]
    assert spaced(3, 3) == [0, 1, 2]


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

    monkeypatch.setattr("xdr.training.plan_training.BUDGET", 0.1)
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
    for said in ("encoding", "search", "scoring", "144 passages x"):
        assert said in output
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not list((tmp_path / "run" / "artifacts" / "embeddings").rglob("*.npy"))
