"""Whole training runs in processes of their own, as a user starts them."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from tests.forks import Fork, start_script

ROOT = Path(__file__).parents[1]
QUICK = [
    "model.hidden=32",
    "model.layers=1",
    "model.passage_length=24",
    "model.query_length=12",
    "model.optimizer.learning_rate=1e-3",
    "trainer.enable_progress_bar=false",
    "trainer.max_epochs=2",
    "data.batches.size=64",
]
"""A small model on the sample: an epoch of 36 steps in seconds."""
QUICK_GENERATOR = [
    "model=small_query_generator",
    "callbacks=generator",
    "model.hidden=32",
    "model.input_length=24",
    "model.output_length=12",
    "callbacks.validation.num_sampled=2",
    "callbacks.validation.largest_dev=64",
    "trainer.enable_progress_bar=false",
    "trainer.max_epochs=2",
    "data.batches.size=64",
]


def start(
    folder: Path, *arguments: str, quick: Sequence[str] = QUICK, script: str = "train.py"
) -> subprocess.Popen[str] | Fork:
    command = [str(ROOT / script), *quick, *arguments, f"output_dir={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return start_script(command, folder.parent, environment)


def run(folder: Path, *arguments: str, quick: Sequence[str] = QUICK, script: str = "train.py") -> str:
    process = start(folder, *arguments, quick=quick, script=script)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def run_with_kills(folder: Path, num_kills: int, seed: int, *arguments: str, quick: Sequence[str] = QUICK) -> int:
    """Starts the run again and again, killing it (all of its processes) at random moments after its first checkpoint; then
    lets it finish. Returns how often it was killed in mid-run."""
    rng = random.Random(seed)
    kills = 0
    for _ in range(num_kills):
        process = start(folder, *arguments, quick=quick)
        before = _checkpoints(folder)
        deadline = time.time() + 120
        while process.poll() is None and _checkpoints(folder) == before and time.time() < deadline:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.7))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    run(folder, *arguments, quick=quick)
    return kills


def weights(folder: Path, name: str = "encoder") -> dict[str, Tensor]:
    return load_file(folder / name / "model.safetensors")


def log(folder: Path) -> dict[str, object]:
    value = json.loads((folder / "encoder" / "xdr.json").read_text())
    assert isinstance(value, dict)
    return value


def _checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").glob("step-*.ckpt")}
