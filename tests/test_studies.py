"""Studies as a user starts them: what their files vary, the jobs of another sweep, what is kept for reading."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from conf import entry, sweep
from conf.schema import BESIDE
from tests.documented_commands import STUDIES, Command, documented_commands
from tests.forks import ROOT
from tests.test_experiments import binds
from xdr.errors import UserError
from xdr.storage.jobs import read_job, read_listing, write_listing

COMMANDS = [
    command for command in documented_commands() if command.is_of_study and command.program in ("train.py", "evaluate.py")
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def trained(folder: Path, *names: str, state: str = "done") -> None:
    """A sweep of train.py whose jobs are done."""
    for name in names:
        (folder / name).mkdir(parents=True)
        begun = read_job(folder / name).begin({}, [])
        begun.finish(0.5) if state == "done" else begun.fail("no memory")
    write_listing(folder, {name: [] for name in names})


def planned(script: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> sweep.Sweep:
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    found = entry.check(script, [word for word in arguments if not word.startswith("-")])
    assert found is not None
    return found


def trained_of(study: str) -> Path:
    """Where its YAML expects its trainings."""
    return Path(f"outputs/study/{'sample' if study == 'sample_study' else study}/train")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_job_of_a_documented_study_composes_and_binds(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_composes(command, monkeypatch)


def test_a_small_study_composes_and_binds(monkeypatch: pytest.MonkeyPatch) -> None:
    small = [command for command in COMMANDS if command.document.startswith("sample_study")]
    assert len(small) == 2
    for command in small:
        assert_composes(command, monkeypatch, most=1)


@pytest.mark.parametrize("study", sorted(path.stem for path in (ROOT / "conf" / "study").glob("*.yaml")))
def test_a_study_varies_settings_that_exist(study: str) -> None:
    settings = entry.compose("train" if study.endswith("_train") else "evaluate", [f"study={study}"])
    varied = OmegaConf.load(ROOT / "conf" / "study" / f"{study}.yaml").hydra.sweeper.params
    for name in set(varied) - {"experiment"}:
        group, _, setting = name.rpartition(".")
        assert setting in (OmegaConf.select(settings, group) if group else settings), name


def assert_composes(command: Command, monkeypatch: pytest.MonkeyPatch, most: int | None = None) -> None:
    script = str(command.program).removesuffix(".py")
    study = next(word.removeprefix("study=") for word in command.arguments if word.startswith("study="))
    if script == "evaluate":
        shutil.rmtree(trained_of(study), ignore_errors=True)
        trained(trained_of(study), "a", "b")
    found = planned(script, *command.arguments, monkeypatch=monkeypatch)
    assert len(found.jobs) >= 2
    first = next(iter(found.jobs.values()))
    HydraConfig.instance().set_config(entry.compose(script, first, with_hydra=True))  # which output_dir refers to
    for overrides in list(found.jobs.values())[:most]:
        settings = entry.compose(script, overrides)
        assert entry.plain(settings) and binds(settings.data, *BESIDE["data"])
    if script == "evaluate":
        assert settings.sweep.question.endswith("?")


def test_a_study_says_first_what_it_asks_and_shows_its_commands() -> None:
    assert len(STUDIES) > 5
    for path in STUDIES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "# @package _global_" and lines[1].startswith("# ")
        comment = "\n".join(line for line in lines if line.startswith("# "))
        assert f" study={path.stem}" in comment, path
        assert path.stem.endswith("_train") or "python evaluate.py stage=sweep output_dir=outputs/study/" in comment, path


def test_the_jobs_of_another_sweep_are_values_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    trained(Path("out/train"), "one", "two")
    found = planned("evaluate", "-m", "checkpoint=E5,out/train/*", "output_dir=out/test", monkeypatch=monkeypatch)
    checkpoints = [entry.compose("evaluate", overrides).checkpoint for overrides in found.jobs.values()]
    assert checkpoints == ["E5", "out/train/one", "out/train/two"]
    assert read_listing(Path("out/test"))["command"] == "python evaluate.py -m 'checkpoint=E5,out/train/*' output_dir=out/test"


def test_jobs_that_are_missing_or_not_done_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"out/train/\* must name the jobs of a sweep, got a folder without jobs"):
        planned("evaluate", "-m", "checkpoint=out/train/*", monkeypatch=monkeypatch)
    trained(Path("out/train"), "one", state="failed")
    with pytest.raises(UserError, match="must name jobs that are done, got 1 of 1 that are not: one is failed"):
        planned("evaluate", "-m", "checkpoint=out/train/*", monkeypatch=monkeypatch)


def test_the_command_line_takes_the_place_of_what_a_study_varies(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned("train", "study=sample_study_train", "seed=7", monkeypatch=monkeypatch)
    assert [entry.compose("train", overrides).seed for overrides in found.jobs.values()] == [7, 7]


def test_a_sweep_is_read_as_it_was_started_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    trained(trained_of("sample_study"), "one")
    planned("evaluate", "study=sample_study", "evaluation.num_samples=77", monkeypatch=monkeypatch)
    overrides = ["stage=sweep", "output_dir=outputs/study/sample/test", "sweep.baseline=other"]
    settings: Any = sweep.as_kept(entry.compose("evaluate", overrides), overrides)
    assert settings.sweep.figure.x == "noise.share" and settings.sweep.question.startswith("Does")
    assert settings.sweep.names["noise-mean"] == "mean of three mistyped versions"
    overrides.append("sweep.names={baseline: an encoder}")
    assert sweep.as_kept(entry.compose("evaluate", overrides), overrides).sweep.names == {"baseline": "an encoder"}
    assert (settings.evaluation.num_samples, settings.sweep.baseline, settings.sweep.answer) == (
        77,
        "other",
        "baseline@noise-mean share=1 experiment=sample_noisy",
    )


def test_a_study_is_not_read_by_its_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    trained(trained_of("sample_study"), "one")
    with pytest.raises(UserError, match="stage=sweep must be used without -m, study="):
        planned("evaluate", "study=sample_study", "stage=sweep", monkeypatch=monkeypatch)
