"""Training of a causal language model as a user sees it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.runs import run, run_with_kills, weights
from tests.small_causal import build_small_causal
from xdr.training.generator_module import QueryGeneratorModule


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = build_small_causal(tmp_path_factory.mktemp("causal") / "model")
    return [
        "model=causal_query_generator",
        f"model.path={folder}",
        "model.input_length=64",
        "model.output_length=24",
        "model.optimizer.learning_rate=1e-3",
        "callbacks.validation.num_sampled=2",
        "callbacks.validation.largest_dev=32",
        "trainer.enable_progress_bar=false",
        "trainer.max_steps=24",
        "trainer.max_epochs=1",
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, quick: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    output = run(folder, quick=quick)
    assert "untrained" in output and "Generated for dev sources" in output
    return folder


def test_a_run_leaves_a_generator_that_others_read(uninterrupted: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(uninterrupted / "generator")
    assert type(model).__name__ == "Gemma3ForCausalLM"
    task = json.loads((uninterrupted / "generator" / "xdr.json").read_text())["task"]
    assert task["prompt"] == "Passage: {passage}\nQuestion in {language}:" and task["languages"][0] == "ar"
    samples = sorted((uninterrupted / "samples").iterdir())
    assert len(samples[-1].read_text(encoding="utf-8").splitlines()) == 16
    rows = (uninterrupted / "metrics.csv").read_text().splitlines()
    assert "dev/loss/te" in rows[0]


def test_a_trained_causal_model_writes_questions_for_a_collection(uninterrupted: Path, tmp_path: Path) -> None:
    settings = {"languages": "[fi,ko]", "number": "2", "output_length": "8", "refuse": "[]", "probe": "0", "shard_size": "72"}
    quick = ["experiment=sample_generation", "trainer.enable_progress_bar=false", f"checkpoint={uninterrupted}"]
    quick += [f"augmentation.generation.{name}={value}" for name, value in settings.items()]
    run(tmp_path / "texts", quick=quick, script="evaluate.py")
    report = json.loads((tmp_path / "texts" / "generated.json").read_text())
    assert {code: (counts["kept"], counts["passages"]) for code, counts in report["counts"].items()} == {
        "fi": (288, 144),
        "ko": (288, 144),
    }


def test_lightning_loads_a_checkpoint_of_a_causal_model(uninterrupted: Path) -> None:
    (newest,) = (uninterrupted / "checkpoints").glob("step-*.ckpt")
    module = QueryGeneratorModule.load_from_checkpoint(newest)
    saved = weights(uninterrupted, "generator")
    assert all(torch.equal(value, saved[name]) for name, value in module.generator.model.state_dict().items() if name in saved)


@pytest.mark.slow
def test_a_causal_model_killed_twice_ends_in_the_same_weights(uninterrupted: Path, tmp_path: Path, quick: list[str]) -> None:
    assert run_with_kills(tmp_path / "run", 2, 0, "callbacks.checkpoints.every_num_steps=5", quick=quick)
    ours, theirs = weights(uninterrupted, "generator"), weights(tmp_path / "run", "generator")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "bit for bit"
