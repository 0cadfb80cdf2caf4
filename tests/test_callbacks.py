"""Callbacks and loggers as conf/ names them."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger

from callbacks.loggers import tensorboard
from callbacks.run_rows import Table
from callbacks.wandb_logger import log_row
from conf import entry
from tests.runs import QUICK, run, weights
from xdr.errors import UserError

EARLY_STOPPING = (
    "callbacks.early_stopping={_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: dev/MRR, mode: max, patience: 1, "
    "min_delta: 0.5}"
)


@pytest.mark.parametrize("name", ["csv", "tensorboard", "offline"])
def test_every_logger_is_built_by_its_target(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "tensorboard":
        pytest.importorskip("tensorboard")
    settings = entry.compose("train", [f"logger={name}", f"output_dir={tmp_path}"])
    with entry.logging(settings, "train") as logger:
        assert isinstance(logger, Logger)


def test_metrics_go_to_a_csv_file_of_the_run(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    log_row(logger, {"loss": 0.5}, {"words": Table(["language"], [["fi"]])}, 3)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["loss,step", "0.5,3"]


def test_a_logger_that_is_not_installed_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr("callbacks.loggers.TensorBoardLogger", missing)
    with pytest.raises(UserError, match="pip install 'xdr.tensorboard.'"):
        tensorboard(str(tmp_path))


@pytest.mark.slow
def test_an_early_stop_ends_the_run_and_the_same_command_has_nothing_left_to_do(tmp_path: Path) -> None:
    """No epoch is better than the one before by half, so the second one is the last."""
    arguments = ["trainer.max_epochs=6", EARLY_STOPPING, "callbacks.checkpoints.every_num_steps=0"]
    run(tmp_path / "run", *arguments)
    checkpoints = sorted((tmp_path / "run" / "checkpoints").glob("step-*.ckpt"))
    assert len(checkpoints) == 1
    before = weights(tmp_path / "run")
    assert torch.load(checkpoints[0], weights_only=True)["epoch"] == 1
    assert "Resuming from" in run(tmp_path / "run", *arguments)
    assert sorted((tmp_path / "run" / "checkpoints").glob("step-*.ckpt")) == checkpoints
    assert all(torch.equal(value, before[name]) for name, value in weights(tmp_path / "run").items())


def test_learning_rates_are_logged_where_their_monitor_is_switched_on(tmp_path: Path) -> None:
    monitor = "callbacks.learning_rate={_target_: lightning.pytorch.callbacks.LearningRateMonitor}"
    run(tmp_path / "run", "trainer.max_steps=4", "trainer.log_every_n_steps=2", "callbacks.validation=null", monitor)
    assert "lr-AdamW" in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]


def test_a_metric_that_is_not_logged_cannot_be_monitored(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="monitor must be a logged metric, got dev/MRRR; did you mean"):
        run(tmp_path / "run", "callbacks.checkpoints.monitor=dev/MRRR")


def test_a_log_file_gets_plain_lines_of_progress(tmp_path: Path) -> None:
    """One at the end, as the run is shorter than the time between two lines."""
    quick = [setting for setting in QUICK if "progress" not in setting]
    output = run(tmp_path / "run", "trainer.max_epochs=1", quick=quick)
    (line,) = (line for line in output.splitlines() if " steps, " in line)
    assert line.startswith("36 of 36 (100%) steps, ")
    assert "━━━ " not in output
