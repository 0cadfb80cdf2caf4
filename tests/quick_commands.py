"""Runs a documented command on stand-ins for its files and models, with as little work as possible."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests import stand_ins
from tests.documented_commands import ROOT, Command

LONGEST_SECONDS = 900

BENCHMARKS = {
    r"experiment=(xor_tydi|xqg)_": "xor_tydi",
    r"experiment=nq_zero_shot_": "natural_questions",
    r"experiment=swim_ir_": "swim_ir",
    r"experiment=(lareqa|xquad_r|xquad_english)_": "xquad_r",
    r"experiment=afriqa_": "afriqa",
    r"experiment=mlqa_r_": "mlqa",
    r"experiment=miracl_": "miracl",
    r"experiment=xnli_": "xnli",
    r"data=collection": "collection",
    r"data=parallel": "parallel",
    r"data=xor_tydi": "xor_tydi",
    r"": "sample",
}
"""Patterns of a command, and the benchmark whose files and models stand in for its words in capitals. The first match wins."""

PLACEHOLDERS = {
    "xor_tydi": {
        "ENCODER": "outputs/train/xor_tydi-transformer",
        "GENERATOR": "outputs/train/xor_tydi-query_generator",
        "ielabgroup/bert-base-multilingual-cased-xor-tydi": "outputs/train/xor_tydi-transformer",
        "ielabgroup/xor-tydi-docTquery-mt5-base": "outputs/train/xor_tydi-query_generator",
        "QUESTIONS": "outputs/evaluate/xor_tydi",
        "RUN": "outputs/evaluate/xor_tydi",
        "shard_*.jsonl": "XQG/shard_*.jsonl",
    },
    "natural_questions": {},
    "swim_ir": {},
    "xquad_r": {
        "ENCODER": "outputs/train/xquad_r-static",
        "XQUAD_R": "xquad_r",
        "MODEL": "models/causal",
        "QUESTIONS": "questions:train",
    },
    "afriqa": {
        "ENCODER": "outputs/train/afriqa-static",
        "GENERATOR": "outputs/train/afriqa-small_query_generator",
        "GENERATED": "outputs/evaluate/afriqa",
        "AFRIQA/data": "afriqa",
        "MODEL": "models/encoder",
    },
    "parallel": {},
    "mlqa": {"MLQA_V1": "mlqa"},
    "miracl": {"MIRACL": "miracl"},
    "xnli": {"XNLI": "xnli"},
    "collection": {
        "FOLDER": "outputs/train/sample-small/encoder",
        "RUN": "outputs/evaluate/sample",
        "docs/first_hour": str(ROOT / "docs" / "first_hour"),
    },
    "sample": {
        "ENCODER": "outputs/demo/train",
        "MODEL": "outputs/demo/train",
        "COLBERT": "outputs/train/sample-colbert",
        "GENERATOR": "outputs/train/sample-small_query_generator",
        "QUESTIONS": "outputs/demo/questions",
        "HOST:29500": "localhost:29500",
        "google/gemma-3-270m": "models/causal",
        "GEMMA": "models/causal",
        "E5": "models/encoder",
    },
}
"""What stands in for the words in capitals. `DIR` is the folder of the benchmark."""

FEWER = {
    "hydra.sweeper.n_trials": "2",
    "trainer.max_epochs": "1",
    "trainer.devices": "2",
    "trainer.num_nodes": "1",
    "seed": "1,2",
    "--nnodes": "1",
    "--nproc-per-node": "2",
}
"""Values of a command that are replaced by smaller ones."""

FEW = {
    "benchmarks/collection.py": ["--passages", "2000"],
    "benchmarks/cluster.py": ["--passages", "200", "--shards", "2", "--rounds", "1"],
    "benchmarks/paper_size.py": ["--passages", "2000"],
    "benchmarks/search.py": ["--passages", "2000", "--dimension", "32", "--queries", "20", "--k", "10", "--rounds", "1"],
}


def write_stand_ins(folder: Path) -> None:
    for name in (
        "collection",
        "xor_tydi",
        "natural_questions",
        "swim_ir",
        "afriqa",
        "parallel",
        "xquad_r",
        "mlqa",
        "miracl",
        "xnli",
        "vectors",
        "models",
    ):
        getattr(stand_ins, f"write_{name}")(folder / name)
    stand_ins.write_published_questions(folder / "XQG")


def in_order(commands: Iterable[Command]) -> list[Command]:
    """In the order of the documents, but training before commands that use a model, generation before fusion, and teaching
    before training with its scores, and mining before training on what it found."""

    def step(command: Command) -> int:
        line = " ".join(command.words)
        if re.search("teacher_scores|data.mined", line):
            return 4
        if command.program == "train.py" and "-m" not in command.arguments and "plan=true" not in line:
            return 1 if re.search("ENCODER|COLBERT|checkpoint", line) else 0
        return 2 if re.search("generation|stage=prepare", line) and "plan=true" not in line else 3

    return sorted(commands, key=step)


def without_repeats(commands: Iterable[Command]) -> list[Command]:
    """Drops commands that start the same process: one document says `python`, another `.venv/bin/python`."""
    first: dict[tuple[str, ...], Command] = {}
    for command in commands:
        first.setdefault(tuple(command_line(command)), command)
    return list(first.values())


def run(command: Command, folder: Path) -> str | None:
    """Runs the command. Returns what went wrong, or None."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    try:
        result = subprocess.run(
            command_line(command),
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        return f"{command}\n  took more than {LONGEST_SECONDS} s:\n{error.output}"
    return None if result.returncode == 0 else f"{command}\n  ended with {result.returncode}:\n{result.stdout[-3000:]}"


def command_line(command: Command) -> list[str]:
    assert command.program is not None
    benchmark = next(name for pattern, name in BENCHMARKS.items() if re.search(pattern, " ".join(command.words)))
    words = [_filled(word, benchmark) for word in command.arguments]
    program = [str(ROOT / command.program)] if command.program.endswith(".py") else ["-m", command.program]
    if command.program in ("train.py", "evaluate.py"):
        words += quick_settings(command, benchmark)
    words += FEW.get(command.program, [])
    return [sys.executable, *_launcher(command), *program, *words]


def _launcher(command: Command) -> list[str]:
    if command.words[0] != "torchrun":
        return []
    before = command.words[1 : command.words.index(str(command.program))]
    return ["-m", "torch.distributed.run", *(_filled(word, "sample") for word in before)]


def _filled(word: str, benchmark: str) -> str:
    key, equals, value = word.partition("=")
    if not equals:
        return word
    replacements = {"DIR": benchmark, "VECTORS": "vectors", **PLACEHOLDERS["sample"], **PLACEHOLDERS[benchmark]}
    value = FEWER.get(key, replacements.get(value, value))
    return f"{key}={value}/encoder" if key.endswith("round_trip") else f"{key}={value}"


def quick_settings(command: Command, benchmark: str) -> list[str]:
    """Settings that shorten the command, except those that it sets itself."""
    line = " ".join(command.words)
    settings: dict[str, str] = {}
    if command.program == "train.py":
        settings = _quick_training(line, benchmark)
    elif re.search("stage=(sweep|prepare|export)", line):
        return []
    elif "generation" in line:
        settings = _quick_generation(line)
    else:
        settings = {"evaluation.num_samples": "200", "trainer.enable_progress_bar": "false"}
        settings |= {"search.depth": "100"} if "xqg" in line else {}
    if "trainer.devices" in line:
        settings["output_dir"] = f"outputs/several/{command.words[0]}"  # a folder without finished work
    given = {word.partition("=")[0] for word in command.arguments}
    return [f"{key}={value}" for key, value in settings.items() if key not in given]


def _quick_training(line: str, benchmark: str) -> dict[str, str]:
    is_generator = re.search("generator|mt5|passage_from_query", line) is not None
    settings = {"trainer.enable_progress_bar": "false", "trainer.accelerator": "cpu", "trainer.max_epochs": "1"}
    settings["data.batches.size"] = "16" if benchmark == "xquad_r" else "32"
    if is_generator:
        settings |= {"model.input_length": "24", "model.output_length": "12"}
        settings |= {"callbacks.validation.num_sampled": "2", "callbacks.validation.largest_dev": "32"}
    else:
        settings |= {"model.query_length": "12", "model.passage_length": "24"}
    if re.search("causal_query_generator|xquad_english_generator", line):
        return {**settings, "model.input_length": "64"}
    if "colbert" in line:
        return settings
    if benchmark == "sample":
        return {**settings, "model.hidden": "32", "model.layers": "1"}
    if is_generator and benchmark in ("xor_tydi", "swim_ir"):  # these experiments count steps, not epochs
        settings |= {"trainer.max_steps": "2", "trainer.val_check_interval": "2", "model.path": "models/mt5"}
    elif "xlm_roberta" in line or "lareqa" in line:
        settings["model.path"] = "models/xlm-roberta"
    elif not is_generator:
        settings["model.path"] = "models/bert"
    return {**settings, "model.hidden": "32"} if "afriqa_generator" in line else settings


def _quick_generation(line: str) -> dict[str, str]:
    """Five questions in each of three languages: as many as the sweeps need."""
    passages = "passage" in line
    settings = {"languages": "[en]" if passages else "[fi,ja,ru]", "number": "2" if passages else "5"}
    settings |= {"output_length": "6", "refuse": "[]", "probe": "0"}
    if "afriqa" in line:
        settings |= {"languages": "[ha,zu]", "number": "1"}
    quick = {f"augmentation.generation.{name}": value for name, value in settings.items()}
    return {**quick, "trainer.enable_progress_bar": "false"}
