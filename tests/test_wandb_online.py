"""W&B's client against a server on this machine: a run online, a network that fails, a run that goes on after a kill."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from callbacks.loggers import ending
from callbacks.run_rows import Table
from callbacks.wandb_logger import WandbLogger
from tests.runs import ROOT, run, run_with_kills
from tests.test_wandb import SHORT, logger_of
from tests.wandb_server import WandbServer, serving

ONLINE = ["logger=wandb", *SHORT[1:]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbServer]:
    """For this process and those that it starts, whatever the developer has."""
    wandb.teardown()
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server
        wandb.teardown()


def test_a_training_arrives_with_its_labels_settings_rows_and_exit_code(tmp_path: Path, server: WandbServer) -> None:
    folder = tmp_path / "run"
    run(folder, *ONLINE, "seed=3", "logger.group=first", "logger.tags=[sample,mine]")
    (found,) = server.runs.values()
    assert found.described["displayName"] == "run" and found.described["project"] == "xdr"
    assert (found.described["groupName"], found.described["jobType"]) == ("first", "train")
    assert found.described["tags"] == ["sample", "mine"]
    assert found.config["seed"] == 3 and found.config["data"]["batches"]["size"] == 64
    assert [(row["_step"], row["trainer/global_step"]) for row in found.rows] == [(0, 1), (1, 3)]
    assert found.summary["loss"] == found.rows[-1]["loss"]
    assert found.exit_code == 0


def test_tables_arrive_as_files_and_a_job_that_fails_ends_its_run_as_failed(tmp_path: Path, server: WandbServer) -> None:
    with pytest.raises(ZeroDivisionError), ending(logger_of(tmp_path, offline=False)) as logger:
        assert isinstance(logger, WandbLogger)
        logger.log({"loss": 0.25}, {"words": Table(["language", "text"], [["fi", "sana"], ["te", "పదం"]])}, step=9)
        logger.log({"loss": 1 / 0}, {}, 10)
    (found,) = server.runs.values()
    (row,) = found.rows
    assert (row["trainer/global_step"], row["loss"]) == (9, 0.25)
    table = json.loads(found.uploaded[row["words"]["path"]])
    assert table == {"columns": ["language", "text"], "data": [["fi", "sana"], ["te", "పదం"]]}
    assert {f"run-{found.described['name']}-words/{name}" for name in ("words.table.json", "wandb_manifest.json")} < set(
        found.uploaded
    )
    assert found.exit_code == 1


@pytest.mark.slow
@pytest.mark.parametrize("num_kills", [1, 6])
def test_a_killed_training_goes_on_as_the_same_run_with_every_row_once(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch, num_kills: int
) -> None:
    monkeypatch.setenv("WANDB__FILE_STREAM_TRANSMIT_INTERVAL", "0.1")
    often = ["logger=wandb", "callbacks.checkpoints.every_num_steps=5", "trainer.log_every_n_steps=1"]
    often.append(f"trainer.max_epochs={2 if num_kills == 1 else 5}")
    run(tmp_path / "whole", *often)
    (whole,) = server.runs.values()
    kills = run_with_kills(tmp_path / "killed", num_kills, 0, *often)
    assert kills >= 0.8 * num_kills
    _, killed = server.runs.values()
    assert killed.rows == whole.rows
    assert killed.changed_rows == []
    assert killed.exit_code == 0
    run(tmp_path / "killed", *often)
    assert len(server.runs) == 2
    assert killed.rows == whole.rows, "a run that is over logs nothing when it is started again"


LOG_AND_DIE = """
import os, signal, sys
from pathlib import Path
from tests.test_wandb import logger_of
logger = logger_of(Path(sys.argv[1]), offline=False)
for step in range(300):
    logger.log_metrics({"loss": step / 7}, step)
os.kill(int(sys.argv[2]) and os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("alone", [True, False])
def test_rows_that_were_under_way_at_a_kill_arrive_once(tmp_path: Path, server: WandbServer, alone: bool) -> None:
    """Killed `alone`, the process leaves W&B's own one, which goes on sending for a while."""
    command = [sys.executable, "-c", LOG_AND_DIE, str(tmp_path), str(int(alone))]
    died = subprocess.run(command, cwd=ROOT, check=False, start_new_session=True)
    assert died.returncode == -signal.SIGKILL
    with ending(logger_of(tmp_path, offline=False)) as logger:
        for step in range(250, 310):
            logger.log_metrics({"loss": step / 7}, step)
    time.sleep(20)  # longer than W&B waits between two requests
    (found,) = server.runs.values()
    assert [row["trainer/global_step"] for row in found.rows] == list(range(310))
    assert found.changed_rows == []
    assert found.exit_code == 0
