"""W&B's client against a local server: a run online, a network that fails, a run that is killed and resumed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from callbacks.loggers import ending
from callbacks.run_rows import Table
from callbacks.wandb_logger import WandbLogger
from tests.runs import ROOT, run, run_with_kills, start
from tests.test_wandb import SHORT, logger_of
from tests.wandb_server import Network, WandbServer, serving

OFTEN = ["logger=wandb", "callbacks.checkpoints.every_num_steps=5", "trainer.log_every_n_steps=1"]
LONG = ["logger=wandb", "trainer.max_epochs=8", "trainer.log_every_n_steps=1", "callbacks.validation.largest_pool=0"]
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
    monkeypatch.setenv("WANDB__FILE_STREAM_TRANSMIT_INTERVAL", "1")  # seconds; 15 by default
    for what in ("FILE_STREAM", "GRAPHQL", "FILE_TRANSFER"):
        monkeypatch.setenv(f"WANDB__{what}_RETRY_WAIT_MAX_SECONDS", "2")  # 60 by default
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
    tmp_path: Path, server: WandbServer, num_kills: int
) -> None:
    often = [*OFTEN, f"trainer.max_epochs={2 if num_kills == 1 else 5}"]
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
    """W&B sends from another process. If only the trainer is killed (`alone`), that process sends on for a while."""
    command = [sys.executable, "-c", LOG_AND_DIE, str(tmp_path), str(int(alone))]
    died = subprocess.run(command, cwd=ROOT, check=False, start_new_session=True)
    assert died.returncode == -signal.SIGKILL
    with ending(logger_of(tmp_path, offline=False)) as logger:
        for step in range(250, 310):
            logger.log_metrics({"loss": step / 7}, step)
    time.sleep(5)  # longer than W&B waits between two requests
    (found,) = server.runs.values()
    assert [row["trainer/global_step"] for row in found.rows] == list(range(310))
    assert found.changed_rows == []
    assert found.exit_code == 0


def logged(folder: Path) -> list[dict[str, Any]]:
    """The rows that were logged, by xdr's own file, as W&B has them."""
    rows = [json.loads(line) for line in (folder / "wandb_rows.jsonl").read_text().splitlines()]
    return [{"_step": number, "trainer/global_step": step, **metrics} for number, step, metrics, _ in rows]


def wait_until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cut", "answers lost", "overloaded"])
def test_a_network_that_fails_for_a_while_neither_stops_a_training_nor_costs_rows(
    tmp_path: Path, server: WandbServer, network: Network
) -> None:
    folder = tmp_path / "run"
    process = start(folder, *LONG)
    wait_until(lambda: any(run.rows for run in server.runs.values()))
    server.network = network
    before, num_asked = len(logged(folder)), len(server.asked)
    wait_until(lambda: len(logged(folder)) > before + 60)
    wait_until(lambda: sum("file_stream" in path for path in server.asked[num_asked:]) > 1)
    server.network = "whole"
    output, _ = process.communicate()
    assert process.returncode == 0, output
    (found,) = server.runs.values()
    assert found.rows == logged(folder)
    assert found.changed_rows == []
    assert found.exit_code == 0


@pytest.mark.slow
def test_a_training_whose_network_stays_away_ends_and_the_same_command_sends_its_rows_later(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "5")
    folder, words = tmp_path / "run", LONG
    process = start(folder, *words)
    wait_until(lambda: any(run.rows for run in server.runs.values()))
    server.network = "cut"
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert (folder / "encoder" / "model.safetensors").is_file()
    assert output.count("W&B does not have all of this run; the same command sends the rest") == 1
    (found,) = server.runs.values()
    assert 0 < len(found.rows) < len(logged(folder)) and found.exit_code is None
    server.network = "whole"
    assert "does not have all" not in run(folder, *words)
    assert found.rows == logged(folder)
    assert (found.changed_rows, found.exit_code, len(server.runs)) == ([], 0, 1)


@pytest.mark.slow
def test_a_run_that_goes_on_without_a_network_is_whole_when_it_is_online_again(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    for network, steps in (("whole", (0, 10)), ("cut", (10, 20)), ("cut", (20, 30)), ("whole", (30, 40))):
        server.network = network  # type: ignore[assignment]
        with ending(logger_of(tmp_path, offline=False)) as logger:
            for step in range(*steps):
                logger.log_metrics({"loss": step / 7}, step)
    (found,) = server.runs.values()
    assert [row["trainer/global_step"] for row in found.rows] == list(range(40))
    assert capsys.readouterr().out.count("the same command sends the rest") == 2


@pytest.mark.slow
def test_a_table_without_a_network_is_left_out_and_its_row_is_not(
    tmp_path: Path, server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with ending(logger_of(tmp_path, offline=False)) as logger:
        assert isinstance(logger, WandbLogger)
        logger.log({"loss": 0.5}, {}, 1)
        server.network = "cut"
        logger.log({"loss": 0.25}, {"words": Table(["text"], [["sana"]])}, 2)
        server.network = "whole"
        logger.log({"loss": 0.125}, {"words": Table(["text"], [["sana"]])}, 3)
    (found,) = server.runs.values()
    assert [(row["loss"], "words" in row) for row in found.rows] == [(0.5, False), (0.25, False), (0.125, True)]
    assert "W&B cannot be reached" in capsys.readouterr().out


def sync(folder: Path) -> None:
    command = [sys.executable, "-m", "wandb", "sync", *map(str, folder.glob("wandb/offline-run-*"))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "ERROR" not in done.stderr, done.stderr


@pytest.mark.slow
def test_all_parts_of_a_killed_offline_run_are_sent_by_one_command(tmp_path: Path, server: WandbServer) -> None:
    command = [sys.executable, "-c", LOG_AND_DIE.replace("offline=False", "offline=True"), str(tmp_path), "0"]
    for number in (300, 3000):
        longer = [word.replace("range(300)", f"range({number})") for word in command]
        assert subprocess.run(longer, cwd=ROOT, check=False, start_new_session=True).returncode == -signal.SIGKILL
    with ending(logger_of(tmp_path)) as logger:
        for step in range(3000, 3100):
            logger.log_metrics({"loss": step / 7}, step)
    sync(tmp_path)
    (found,) = server.runs.values()
    assert [row["trainer/global_step"] for row in found.rows] == list(range(3100))
    assert (found.changed_rows, found.exit_code) == ([], 0)
