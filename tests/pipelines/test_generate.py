"""Generation for a whole collection as a user starts it: killed, on other numbers of processes, with wrong settings."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.runs import run, start
from xdr.writing.generated_store import GeneratedStore

QUICK_GENERATION = [
    "experiment=sample_generation",
    "augmentation.generation.number=2",
    "augmentation.generation.languages=[ar,fi]",
    "augmentation.generation.output_length=8",
    "augmentation.generation.shard_size=12",
    "augmentation.generation.probe=0",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
]
"""Twelve shards."""


@pytest.fixture(scope="module")
def trained(trained_generator: Path) -> Path:
    return trained_generator


def generate(folder: Path, trained: Path, *arguments: str) -> str:
    return run(folder, f"checkpoint={trained}", *arguments, quick=QUICK_GENERATION, script="evaluate.py")


def contents(folder: Path) -> dict[str, bytes]:
    """Of every shard, its ledger entry included."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("shard-*/*"))}


def shards_in(folder: Path) -> int:
    return len(list((folder / "artifacts" / "generated").glob("*/shard-*")))


def generate_with_kills(
    folder: Path, trained: Path, num_kills: int, processes: Sequence[int], seed: int, *arguments: str
) -> None:
    """Kills soon after a shard has come, or at any moment from the start on; begins anew where a run was too quick."""
    rng = random.Random(seed)
    kills = 0
    while kills < num_kills:
        devices = processes[kills % len(processes)]
        process = start(
            folder,
            f"checkpoint={trained}",
            f"trainer.devices={devices}",
            *arguments,
            quick=QUICK_GENERATION,
            script="evaluate.py",
        )
        before, deadline = shards_in(folder), time.time() + rng.choice([3, 120, 120])
        while process.poll() is None and shards_in(folder) == before and time.time() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        else:
            shutil.rmtree(folder / "artifacts" / "generated", ignore_errors=True)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    generate(folder, trained, f"trainer.devices={processes[-1]}", *arguments)


@pytest.fixture(scope="module")
def uninterrupted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    output = generate(folder, trained, "trainer.devices=1")
    assert "Generated texts" in output
    report = json.loads((folder / "generated.json").read_text())
    assert report["counts"]["ar"]["passages"] == 144
    store = GeneratedStore(Path(report["generated"]))
    assert len(list(store)) == 144
    assert sum(len(text.texts["fi"]) for text in store) == report["counts"]["fi"]["kept"]
    return contents(folder / "artifacts" / "generated")


@pytest.mark.slow
def test_killed_and_continued_on_another_number_of_processes_it_leaves_the_same_bytes(
    trained: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    generate_with_kills(tmp_path / "run", trained, 2, (1, 2), 5)
    assert contents(tmp_path / "run" / "artifacts" / "generated") == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "backend"), [((1,), "huggingface"), ((2,), "huggingface"), ((1, 2), "huggingface"), ((1, 2), "ctranslate2")]
)
def test_killed_ten_times_it_leaves_the_same_bytes(
    trained: Path, tmp_path: Path, processes: tuple[int, ...], backend: str
) -> None:
    arguments = ("augmentation.generation.shard_size=4", f"augmentation/generation/backend={backend}")
    generate(tmp_path / "whole", trained, *arguments)
    generate_with_kills(tmp_path / "run", trained, 10, processes, 11, *arguments)
    whole, continued = (contents(tmp_path / name / "artifacts" / "generated") for name in ("whole", "run"))
    assert len(whole) >= 2 * 36 and continued == whole


def test_a_checkpoint_writes_what_the_folder_of_its_training_writes(
    trained: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    best = trained / "checkpoints" / "best.ckpt"
    generate(tmp_path / "run", best)
    assert contents(tmp_path / "run" / "artifacts" / "generated") == uninterrupted


def test_what_is_generated_is_exported_and_comes_back(trained: Path, tmp_path: Path) -> None:
    generate(tmp_path / "run", trained, "augmentation.generation.languages=[ko]")
    out = tmp_path / "out.jsonl"
    arguments = ["augmentation=generated_queries", "stage=export", f"augmentation.export={out}"]
    run(tmp_path / "export", f"augmentation.source={tmp_path / 'run'}", *arguments, quick=(), script="evaluate.py")
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    store = GeneratedStore(Path(json.loads((tmp_path / "run" / "generated.json").read_text())["generated"]))
    assert [tuple(row["generated_queries"]["ko"]) for row in rows] == [text.texts["ko"] for text in store]
    arguments.append("augmentation.export_split=dev")
    said = run(tmp_path / "some", f"augmentation.source={tmp_path / 'run'}", *arguments, quick=(), script="evaluate.py")
    assert f"Exported {len(rows)} of {len(rows)} passages" in said  # of the sample, all are relevant


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["augmentation.generation.languages=[sw]"], "languages must be among those of the generator"),
        (["augmentation.generation.languages=[xx]"], "or an English name, got 'xx'"),
        (["augmentation.generation.top_k=-1"], "top_k must be at least 0, got -1"),
        (["augmentation.generation.temprature=2"], "did you mean 'augmentation.generation.temperature'"),
        (["augmentation.generation.vocabulary=half"], "augmentation.generation.vocabulary"),
        (["augmentation=none"], "needs augmentation=generated_queries"),
        (["trainer.precision=16-mixed"], "overflows in the T5 family"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(trained: Path, tmp_path: Path, arguments: list[str], problem: str) -> None:
    quick = ["stage=generate"] if "augmentation=none" in arguments else QUICK_GENERATION
    process = start(tmp_path / "run", f"checkpoint={trained}", *arguments, quick=quick, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert problem in output


def test_another_generators_shard_is_refused(trained: Path, tmp_path: Path) -> None:
    generate(tmp_path / "run", trained, "augmentation.generation.seed=1")
    (store,) = (tmp_path / "run" / "artifacts" / "generated").iterdir()
    for folder in store.glob("shard-*"):
        entry = json.loads((folder / "shard.json").read_text())
        (folder / "shard.json").write_text(json.dumps({**entry, "fingerprint": "another"}))
        break
    process = start(
        tmp_path / "run",
        f"checkpoint={trained}",
        "augmentation.generation.seed=1",
        quick=QUICK_GENERATION,
        script="evaluate.py",
    )
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "was made from something else" in output
