"""Every documented command composes, and those that need nothing from outside run."""

import re
import sys
import time
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from conf import entry
from conf.sweep import common
from tests.documented_commands import DOCUMENTS, EXPERIMENTS, ROOT, Command, documented_commands, overlooked_lines
from tests.quick_commands import in_order, run, without_repeats, write_stand_ins
from tests.stand_ins import write_collection

COMMANDS = documented_commands()
OURS = [c for c in COMMANDS if c.program in ("train.py", "evaluate.py") and "--help" not in c.arguments and not c.is_of_study]
"""Those of studies are in tests/test_studies.py."""
SCRIPTS = {"train.py": "train", "evaluate.py": "evaluate"}

NOT_RUN = {
    r"^make ": "needs a package index; the commands of the Makefile are run one by one",
    r"^(pip install|wandb) ": "needs a package index or the W&B server",
    r"benchmarks/(training|generation|evaluation|encoding|answer_recall|soak)": "takes many minutes",
    r"s3://": "needs a store of objects; tests/pipelines/test_remote.py has one",
    r"bm25.trec": "needs a run of another tool; tests/pipelines/test_compare_to.py has one",
    r"data=ir_datasets": "needs a download; tests/benchmarks registers a data set",
    r"data=mteb": "needs the hub; tests/interop uses a local folder",
    r"^srun ": "needs a cluster",
    r"noise\.read_layouts": "needs the X keyboard database, and writes into the package",
    r"afriqa_e5_(hyde|generated|both|people)": "needs texts that a generator wrote for AfriQA",
    r"backend(=openai|\.base_url)": "needs a server",
    r"data=mixture .*xquad_english": "needs questions that a server wrote",
    r"[=/](dr_decr|quick|cora|sentri)_|outputs/(quick|cora|sentri|afriqa_asks)": "links of chains, as in test_mine.py",
    r" -m pytest ": "is a test itself",
    r"-m tests\.faults": "takes an hour; tests/faults draws a few",
    r"study=|outputs/study/": "are sweeps that train for hours; tests/test_studies.py runs a small one",
    r"--help|experiment=NAME|^eval ": "run by tests/test_entry.py and tests/test_experiments.py",
    r"xdr-explore |-m conf.explore ": "serves a page until Ctrl-C; run by tests/explorer/test_server.py",
}
"""Patterns of commands that are composed and not run, with the reason."""

QUICK_TO_START = [
    "python evaluate.py experiment=sample stage=prepare",
    "python evaluate.py stage=prepare data=collection data.path=DIR",
    "python -m xdr.doctor",
]


def why_not(command: Command) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, " ".join(command.words))), None)


def test_every_command_in_the_documents_is_recognised() -> None:
    assert len(OURS) > 50
    assert {command.document for command in COMMANDS} >= {path.name for path in EXPERIMENTS}
    assert len({command.document for command in COMMANDS} & {path.name for path in DOCUMENTS}) > 7
    assert [str(command) for command in COMMANDS if command.program is None] == []
    assert [line for path in DOCUMENTS for line in overlooked_lines(path)] == []


def test_every_reason_not_to_run_applies_to_a_command() -> None:
    lines = [" ".join(command.words) for command in COMMANDS]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)] == []
    assert set(QUICK_TO_START) <= set(lines)
    assert len([command for command in COMMANDS if why_not(command) is None]) > 60


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder where a sweep may list its jobs. Hydra's settings are restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


@pytest.mark.usefixtures("_elsewhere", "compose_once")
@pytest.mark.parametrize("command", OURS, ids=str)
def test_a_documented_command_composes_and_has_all_values(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.program is not None
    monkeypatch.setattr(sys, "argv", [command.program, *command.arguments])
    overrides = [word.replace("experiment=NAME", "experiment=sample_bi_encoder") for word in command.overrides]
    script = SCRIPTS[command.program]
    planned = entry.check(script, overrides)
    job = overrides if planned is None else next(iter(planned.jobs.values()), common(overrides))
    HydraConfig.instance().set_config(entry.compose(script, job, with_hydra=True))  # which output_dir refers to
    assert entry.plain(entry.compose(script, job))


def test_make_targets_scripts_and_modules_of_the_commands_exist() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    for command in COMMANDS:
        program = str(command.program)
        if program == "make":
            assert {word for word in command.arguments if "=" not in word} <= set(targets), command
        elif program.startswith(("xdr.", "conf.", "tests.")):
            assert (ROOT / f"{program.replace('.', '/')}.py").is_file(), command
        elif program.endswith(".py"):
            assert (ROOT / program).is_file(), command


@pytest.mark.parametrize("line", QUICK_TO_START)
def test_a_quick_command_runs(line: str, tmp_path: Path) -> None:
    (command,) = (command for command in COMMANDS if " ".join(command.words) == line)
    write_collection(tmp_path / "collection")
    assert run(command, tmp_path) is None


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_command_that_needs_nothing_from_outside_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All in one folder, as a reader would run them. The test goes on after a failure and shows all of them at the end."""
    write_stand_ins(tmp_path)
    commands = without_repeats(in_order(command for command in COMMANDS if why_not(command) is None))
    failures = []
    for number, command in enumerate(commands, start=1):
        began = time.monotonic()
        problem = run(command, tmp_path)
        failures += [problem] if problem else []
        with capsys.disabled():
            print(
                f"[{number}/{len(commands)}] {time.monotonic() - began:5.1f} s {'FAILED ' if problem else ''}{command}",
                flush=True,
            )
    assert not failures, "\n\n".join([*failures, f"{len(failures)} of {len(commands)} commands failed"])
