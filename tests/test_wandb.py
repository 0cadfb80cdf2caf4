"""What is in W&B's own files after a run, a kill, several jobs."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import wandb
import yaml
from lightning.pytorch.loggers import Logger
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from callbacks.loggers import ending
from callbacks.loggers import wandb as wandb_logger
from callbacks.run_rows import Position, RunRows, Table
from callbacks.wandb_logger import WandbLogger
from conf import entry
from tests.runs import QUICK, ROOT, run, run_with_kills
from tests.wandb_files import read_run
from xdr.errors import ArtefactError
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import read_jobs


def logger_of(folder: Path, config: Mapping[str, Json] | None = None, offline: bool = True) -> Logger:
    return wandb_logger(
        str(folder), "xdr", "sweep", "a name", ["x", "y"], True, offline, job_type="train", run_config=config or {}
    )


SHORT = ["logger=offline", "trainer.max_steps=4", "trainer.log_every_n_steps=2", "callbacks.validation.largest_pool=0"]


def rows_of(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """By W&B's own number; without times."""
    rows = [(row["_step"], {k: v for k, v in row.items() if k[0] != "_"}) for row in read_run(folder).rows]
    return [(number, row) for number, row in rows if row]


@pytest.fixture
def other_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Without a key, whatever the developer has; W&B reads it once a process."""
    wandb.teardown()
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    return monkeypatch


def test_a_run_is_labelled_and_holds_its_configuration_rows_tables_and_files(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("good news")
    with ending(logger_of(tmp_path, {"seed": 3, "data": {"path": "here"}})) as logger:
        assert isinstance(logger, WandbLogger)
        logger.log_metrics({"loss": 0.5}, step=7)
        logger.log({"loss": 0.25}, {"words": Table(["language", "text"], [["fi", "sana"], ["te", "పదం"]])}, step=9)
        logger.log_files("report", [tmp_path / "report.html"])
    found = read_run(tmp_path)
    assert (found.group, found.job_type, found.name, found.tags) == ("sweep", "train", "a name", ("x", "y"))
    assert found.config["seed"] == 3 and found.config["data"] == {"path": "here"}
    assert [(row["_step"], row["trainer/global_step"], row["loss"]) for row in found.rows] == [(0, 7, 0.5), (1, 9, 0.25)]
    assert found.tables["words"] == [{"language": "fi", "text": "sana"}, {"language": "te", "text": "పదం"}]
    assert found.artifacts[f"report-{found.run_id}"] == ["report.html"]
    assert found.exit_codes == [0]


def test_a_job_that_fails_ends_its_run_as_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ending(logger_of(tmp_path)) as logger:
        logger.log_metrics({"loss": 1 / 2}, 1)
        logger.log_metrics({"loss": 1 / 0}, 2)
    assert read_run(tmp_path).exit_codes == [1]


def test_three_jobs_of_one_process_give_three_runs_in_the_group_of_their_sweep(tmp_path: Path) -> None:
    run(tmp_path / "sweep", "seed=1,2,3", *SHORT, "logger.tags=[mine]", "logger.artifacts=true", quick=["-m", *QUICK])
    jobs = [read_run(job.folder) for job in read_jobs(tmp_path / "sweep")]
    assert len({job.run_id for job in jobs}) == 3
    assert [job.config["seed"] for job in jobs] == [1, 2, 3]
    assert len({job.rows[-1]["loss"] for job in jobs}) == 3
    for number, job in enumerate(jobs):
        assert [row["trainer/global_step"] for row in job.rows] == [1, 3]
        assert (job.group, job.job_type, job.tags) == ("sweep", "train", ("mine",))
        assert f"seed={number + 1}" in job.name
        files = job.artifacts[f"model-{job.run_id}"]
        assert "step-00000004.ckpt" in files and "model/encoder/config.json" in files


@pytest.mark.parametrize("num_kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_as_the_same_run_with_every_row_once(tmp_path: Path, num_kills: int) -> None:
    often = ["logger=offline", "callbacks.checkpoints.every_num_steps=5", "trainer.log_every_n_steps=1"]
    often.append(f"trainer.max_epochs={2 if num_kills == 1 else 5}")
    run(tmp_path / "whole", *often)
    kills = run_with_kills(tmp_path / "killed", num_kills, 0, *often)
    assert kills >= 0.8 * num_kills
    segments = list((tmp_path / "killed" / "wandb").glob("offline-run-*"))
    assert len(segments) == num_kills + 1, "each start leaves one, also one that came to the end before it was to be killed"
    rows = rows_of(tmp_path / "killed")
    assert [number for number, _ in rows] == list(range(len(rows)))
    steps = [row["trainer/global_step"] for _, row in rows]
    assert steps == sorted(steps)
    assert rows == rows_of(tmp_path / "whole")
    run(tmp_path / "killed", *often)
    assert rows_of(tmp_path / "killed") == rows, "a run that is over logs nothing when it is started again"


LOG_AND_DIE = """
import os, signal, sys
from pathlib import Path
from tests.test_wandb import logger_of
logger = logger_of(Path(sys.argv[1]))
for step in range(int(sys.argv[2]), int(sys.argv[3])):
    logger.log_metrics({"loss": step / 7}, step)
os.killpg(0, signal.SIGKILL)
"""


def test_rows_that_wandb_lost_in_its_memory_are_sent_again(tmp_path: Path) -> None:
    for number in (300, 3_000, 30_000):  # until more are under way than a busy machine has written by the kill
        folder = tmp_path / str(number)
        command = [sys.executable, "-c", LOG_AND_DIE, str(folder), "0", str(number)]
        died = subprocess.run(command, cwd=ROOT, check=False, start_new_session=True)
        assert died.returncode == -signal.SIGKILL
        if len(rows_of(folder)) < number:
            break
    assert len(rows_of(folder)) < number
    with ending(logger_of(folder)) as logger:
        for step in range(number - 50, number + 10):
            logger.log_metrics({"loss": step / 7}, step)
    assert [row["trainer/global_step"] for _, row in rows_of(folder)] == list(range(number + 10))


def test_a_checkpoint_in_another_folder_goes_on_with_its_run(tmp_path: Path) -> None:
    rows = RunRows(tmp_path, "train", Position("abc", 40, 99, {"loss": 0.5}))
    assert rows.run_id == "abc"
    row = rows.add({"loss": 0.25}, {}, 109)
    assert row is not None and row.number == 41, "after the row of the checkpoint's own step"
    assert [(row.number, row.step) for row in rows.rows] == [(40, 99), (41, 109)]


def test_an_evaluation_that_is_over_is_another_run_when_it_is_done_again(tmp_path: Path) -> None:
    first = RunRows(tmp_path, "evaluate", None)
    first.add({"recall": 0.5}, {}, None)
    assert RunRows(tmp_path, "evaluate", None).run_id == first.run_id, "as long as it is not"
    first.finish()
    again = RunRows(tmp_path, "evaluate", None)
    assert again.run_id != first.run_id
    assert again.rows == []


def test_a_damaged_name_of_the_run_is_refused_with_a_remedy_that_keeps_the_rest(tmp_path: Path) -> None:
    for damaged in ("{", '{"job_type": "train"}'):
        (tmp_path / "wandb_run.json").write_text(damaged)
        with pytest.raises(ArtefactError, match=r"wandb_run\.json is damaged: .*Remove it and run the command again"):
            RunRows(tmp_path, "train", None)


def test_a_row_that_a_kill_broke_off_is_written_anew(tmp_path: Path) -> None:
    rows = RunRows(tmp_path, "train", None)
    rows.add({"loss": 0.5}, {}, 1)
    with (tmp_path / "wandb_rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('[1, 2, {"lo')
    again = RunRows(tmp_path, "train", None)
    assert [row.step for row in again.rows] == [1]
    assert again.add({"loss": 0.25}, {}, 2) is not None
    assert [row.step for row in RunRows(tmp_path, "train", None).rows] == [1, 2]


def test_without_a_key_a_run_is_written_offline_and_says_so(
    tmp_path: Path, other_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ending(logger_of(tmp_path, offline=False)) as logger:
        logger.log_metrics({"loss": 0.5}, 1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "W&B" in line]
    assert "has no key here, so this run is written offline" in lines[0]
    assert f"wandb sync {tmp_path}/wandb/offline-run-*" in lines[1]
    assert len(lines) == 2
    assert len(read_run(tmp_path).rows) == 1
    assert "WANDB_MODE" not in os.environ, "a later job may be online"


def test_without_a_network_a_run_is_written_offline_and_says_so(
    tmp_path: Path, other_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other_environment.setenv("WANDB_API_KEY", "0" * 40)
    other_environment.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    other_environment.setenv("WANDB_INIT_TIMEOUT", "1")
    with ending(logger_of(tmp_path, offline=False)) as logger:
        logger.log_metrics({"loss": 0.5}, 1)
    output = capsys.readouterr().out
    assert "W&B cannot be reached" in output and "this run is written offline" in output
    assert "wandb sync" in output
    assert [row["loss"] for row in read_run(tmp_path).rows] == [0.5]


def test_the_sweep_file_gives_command_lines_that_hydra_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text())
    monkeypatch.setenv("WANDB_RUN_ID", "k3x9")
    chosen = {"learning_rate": 0.00031, "order": "monolingual", "both_directions": True}
    arguments = {name: {"value": chosen[name.rsplit(".")[-1]]} for name in sweep["parameters"]}
    words = create_sweep_command(sweep["command"])
    place = words.index("${args_no_hyphens}")
    words[place:] = create_sweep_command_args({"args": arguments})["args_no_hyphens"]
    assert words[:3] == ["${env}", "${interpreter}", "${program}"] and sweep["program"] == "train.py"
    settings = entry.compose("train", words[3:])
    assert settings.model.optimizer.learning_rate == 0.00031
    assert settings.data.batches.order == "monolingual"
    assert settings.objective.both_directions is True
    assert settings.output_dir == "outputs/wandb/k3x9"
    assert settings.logger._target_ == "callbacks.loggers.wandb" and not settings.logger.offline


def test_an_agent_s_run_has_the_id_that_the_agent_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "k3x9")
    assert RunRows(tmp_path, "train", None).run_id == "k3x9"
