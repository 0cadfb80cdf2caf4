"""Results on real models with the commands of docs/results.md: XQuAD's generator and its questions, AfriQA's encoder."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import Figure, Machine

ROOT = Path(__file__).parents[2]
MISSING = "needs --models and --data"
LITTLE_TRAINING = (
    "trainer.max_steps=2",
    "data.languages=[en]",
    "data.batches.size=16",
    "callbacks.validation.largest_dev=8",
    "callbacks.validation.num_sampled=0",
)
LITTLE_GENERATION = ("augmentation.generation.number=1", "augmentation.generation.languages=[en]")
Commands = Mapping[str, tuple[str, ...]]
"""A script and its settings, by what they do."""


def xquad(machine: Machine) -> Iterator[Figure]:
    """Each command's seconds, then recall@1 of the systems on the test articles. A run that was cut continues in the same
    folder."""
    if machine.models is None or machine.data is None:
        yield Figure("XQuAD with multilingual-e5-small and gemma-3-270m", MISSING)
        return
    out = machine.out / "xquad"
    generator, questions = out / "generator", out / "questions"
    evaluation = (
        "evaluate.py",
        "experiment=xquad_english_evaluation",
        f"checkpoint={machine.models / 'e5'}",
        f"augmentation.source={questions}",
    )
    commands = {
        "training the generator": (
            "train.py",
            "experiment=xquad_english_generator",
            f"model.path={machine.models / 'gemma'}",
            f"output_dir={generator}",
            *(LITTLE_TRAINING if machine.tiny else ()),
        ),
        "generating its questions": (
            "evaluate.py",
            "experiment=xquad_english_generation",
            "augmentation/generation/backend=huggingface",
            "augmentation.generation.tokens_per_batch=131072",
            "trainer.precision=bf16-true",
            f"checkpoint={generator}",
            f"output_dir={questions}",
            *(LITTLE_GENERATION if machine.tiny else ()),
        ),
        "choosing on dev": (*evaluation, f"output_dir={out / 'dev'}"),
        "testing": (
            *evaluation,
            "evaluation.split=test",
            f"evaluation.choose_from={out / 'dev'}",
            f"output_dir={out / 'test'}",
        ),
    }
    yield from _timed(commands, machine, machine.data / "xquad-r", out / "artifacts")
    for system, values in _metrics(out / "test").items():
        yield Figure(f"recall@1 of {system}", f"{values['recall@1']['macro']:.3f}")


def afriqa(machine: Machine) -> Iterator[Figure]:
    """Each command's seconds, then recall@10 of the encoder before and after training."""
    if machine.models is None or machine.data is None:
        yield Figure("AfriQA with multilingual-e5-small", MISSING)
        return
    out, encoder = machine.out / "afriqa", machine.models / "e5"
    evaluation = ("evaluate.py", "experiment=afriqa_e5_evaluation")
    commands = {
        "evaluating the untrained encoder": (*evaluation, f"checkpoint={encoder}", f"output_dir={out / 'untrained'}"),
        "training the encoder": (
            "train.py",
            "experiment=afriqa_e5",
            f"model.path={encoder}",
            f"output_dir={out / 'encoder'}",
            *(("trainer.max_steps=2",) if machine.tiny else ()),
        ),
        "evaluating the trained encoder": (
            *evaluation,
            f"checkpoint={out / 'encoder'}",
            f"compare_to=[{out / 'untrained'}]",
            f"output_dir={out / 'trained'}",
        ),
    }
    yield from _timed(commands, machine, machine.data / "afriqa" / "data", out / "artifacts")
    for name in ("untrained", "trained"):
        recall = _metrics(out / name)["baseline"]["recall@10"]["macro"]
        yield Figure(f"recall@10 of the {name} encoder", f"{recall:.3f}")


def _timed(commands: Commands, machine: Machine, data: Path, artifacts: Path) -> Iterator[Figure]:
    shared = (f"data.path={data}", f"trainer.accelerator={'gpu' if machine.device == 'cuda' else 'cpu'}")
    for what, command in commands.items():
        where = (f"artifacts_dir={artifacts}",) if command[0] == "evaluate.py" else ()
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command, *shared, *where], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{what}: {done.stderr[-1500:]}")
        yield Figure(what, f"{time.perf_counter() - started:.1f} s")


def _metrics(run: Path) -> Any:
    return json.loads((run / "metrics.json").read_text())
