"""Every command that a document shows composes, and those that need nothing from outside run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from conf import entry, schema
from conf.sweep import common
from tests.documented_commands import DOCUMENTS, EXPERIMENTS, ROOT, Command, documented_commands, overlooked_lines
from tests.training.runs import QUICK, QUICK_GENERATOR
from xdr.data.problems import Problems
from xdr.data.sample import Sample

COMMANDS = documented_commands()
OURS = [c for c in COMMANDS if c.program in ("train.py", "evaluate.py") and "--help" not in c.arguments]
SCRIPTS = {"train.py": "train", "evaluate.py": "evaluate"}

NOT_RUN = {
    r"^make (demo|test|sweep-demo)": "makes an environment from a package index, and runs the whole of what is tested here",
    r"^(pip install|wandb|eval) ": "needs a package index, W&B's server or the reader's own shell",
    r"benchmarks/": "takes minutes by nature, and its figures ask for an idle machine",
    r"^(srun|torchrun) ": "needs a cluster",
    r"experiment=(xor_tydi|xqg|nq_zero_shot|swim_ir)_": "needs the benchmark's files and a pretrained model, which take a GPU",
    r"experiment=(afriqa|xquad_r|lareqa)_": "needs the benchmark's files",
    r"--help|experiment=NAME": "run by tests/test_entry.py",
}
"""By what a command holds: why it is composed, and not run."""

QUICK_TO_START = [
    "python evaluate.py experiment=sample stage=prepare",
    "python evaluate.py stage=prepare data=collection data.path=DIR",
    "python -m xdr.doctor",
]

PLACEHOLDERS = {"NAME": "sample_bi_encoder"}
STANDING_IN = {
    "DIR": "collection",
    "FOLDER": "outputs/train/sample-small/encoder",
    "ENCODER": "outputs/train/sample-small",
    "GENERATOR": "outputs/train/sample-small_query_generator",
    "QUESTIONS": "outputs/evaluate/sample",
    "RUN": "outputs/evaluate/sample",
    "outputs/demo/train": "outputs/train/sample-small",
    "outputs/demo/questions": "outputs/evaluate/sample",
}


def why_not(command: Command) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, " ".join(command.words))), None)


def test_the_documents_show_commands_and_each_is_understood() -> None:
    assert len(OURS) > 50
    assert {command.document for command in COMMANDS} >= {path.name for path in EXPERIMENTS}
    assert len({command.document for command in COMMANDS} & {path.name for path in DOCUMENTS}) > 7
    assert [str(command) for command in COMMANDS if command.program is None] == []
    assert [line for path in DOCUMENTS for line in overlooked_lines(path)] == []


def test_every_reason_not_to_run_a_command_is_of_one() -> None:
    lines = [" ".join(command.words) for command in COMMANDS]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)] == []
    assert set(QUICK_TO_START) <= set(lines)
    assert len([command for command in COMMANDS if why_not(command) is None]) > 20


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sweep may list its jobs; Hydra's settings are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    schema.register()


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("command", OURS, ids=str)
def test_a_command_composes_and_has_all_values(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.program is not None
    monkeypatch.setattr(sys, "argv", [command.program, *command.arguments])
    overrides = [filled(word, PLACEHOLDERS) for word in command.overrides]
    script = SCRIPTS[command.program]
    planned = entry.check(script, overrides)
    job = overrides if planned is None else next(iter(planned.jobs.values()), common(overrides))
    HydraConfig.instance().set_config(entry.compose(script, job, with_hydra=True))  # which output_dir refers to
    assert entry.plain(entry.compose(script, job))


def test_targets_programs_and_modules_exist() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    for command in COMMANDS:
        program = str(command.program)
        if program == "make":
            assert set(command.arguments) <= set(targets), command
        elif program.startswith("xdr."):
            assert (ROOT / f"{program.replace('.', '/')}.py").is_file(), command
        elif program.endswith(".py"):
            assert (ROOT / program).is_file(), command


@pytest.mark.parametrize("line", QUICK_TO_START)
def test_a_quick_command_runs(line: str, tmp_path: Path) -> None:
    (command,) = (command for command in COMMANDS if " ".join(command.words) == line)
    write_collection(tmp_path / "collection")
    run(command, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_command_that_can_runs(tmp_path: Path) -> None:
    """In one folder, as a reader goes through them: first what trains, writes and sweeps by the experiments' own comments."""
    write_collection(tmp_path / "collection")
    for command in in_order(command for command in COMMANDS if why_not(command) is None):
        run(command, tmp_path)


def in_order(commands: Iterator[Command]) -> list[Command]:
    """An encoder and a generator before what uses them, questions before what fuses them; else as they stand."""

    def needs(command: Command) -> int:
        line = " ".join(command.words)
        first = ["train.py experiment=sample_bi", "train.py experiment=sample_gen", "evaluate.py experiment=sample_gen"]
        first += ["output_dir=outputs/writer", "output_dir=outputs/written"]
        return next((i for i, start in enumerate(first) if start in line and " -m " not in line), len(first))

    return sorted(commands, key=needs)


def run(command: Command, folder: Path) -> None:
    assert command.program is not None
    arguments = [filled(word, STANDING_IN) for word in command.arguments]
    if command.program in SCRIPTS:
        start = [str(ROOT / command.program), *arguments, *quick_settings(command)]
    elif command.program.endswith(".py"):
        start = [str(ROOT / command.program), *arguments]
    else:
        start = ["-m", command.program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, *start], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def filled(word: str, values: dict[str, str]) -> str:
    key, _, value = word.partition("=")
    return f"{key}={values[value]}" if value in values else word


def quick_settings(command: Command) -> list[str]:
    """As little as shows that the command works."""
    line = " ".join(command.words)
    if command.program == "train.py":
        writes = "generator" in line
        chosen = QUICK_GENERATOR[2:] if writes else QUICK[2:] if "model=transformer" in line else QUICK
        trials = ["hydra.sweeper.n_trials=2"] if "optuna" in line else []
        rate = [word for word in chosen if not ("learning_rate" in word and "optuna" in line)]
        return [*rate, "trainer.max_epochs=1", *trials]
    if "stage=sweep" in line or "stage=prepare" in line or "stage=export" in line:
        return []
    if "generation" in line:
        written = "[en]" if "passage" in line else "[fi,ja,ru]"
        number = 2 if "passage" in line else 5
        settings = [f"languages={written}", f"number={number}", "output_length=6", "refuse=[]", "probe=0"]
        return [f"augmentation.generation.{setting}" for setting in settings]
    return ["evaluation.num_samples=200"]


def write_collection(folder: Path) -> None:
    """The sample, as a folder of one's own."""
    sample, problems = Sample(), Problems()
    examples = list(sample.examples("train", problems))[:128]
    queries = list(sample.queries("dev", problems))[:64]
    files: dict[str, list[dict[str, object]]] = {
        "corpus.jsonl": [{"docid": p.passage_id, "title": p.title, "text": p.text} for p in sample.passages(problems)],
        "queries.jsonl": [
            {"query_id": q.query_id, "query": q.text, "lang": q.language, "answers": list(q.answers)} for q in queries
        ],
        "train.jsonl": [
            {
                "query_id": example.query.query_id,
                "query": example.query.text,
                "lang": example.query.language,
                "positive_passages": [{"docid": p.passage_id, "title": p.title, "text": p.text} for p in example.positives],
                "negative_passages": [],
            }
            for example in examples
        ],
    }
    folder.mkdir()
    for name, rows in files.items():
        (folder / name).write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
