"""Training as a user sees it: killed, resumed, on two processes, with wrong settings."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.runs import QUICK, run, run_with_kills, start, weights
from xdr.encoders.encoder_folder import load_encoder_folder
from xdr.encoders.texts import texts_of
from xdr.storage.locks import alone_in
from xdr.training.bi_encoder_module import BiEncoderModule

EXACT = ["model.dropout=0.0", "model.optimizer.warmup_share=0.0"]


def assert_equal(left: Path, right: Path) -> None:
    ours, theirs = weights(left), weights(right)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "bit for bit"


def assert_close(left: Path, right: Path) -> None:
    for name, value in weights(left).items():
        torch.testing.assert_close(value, weights(right)[name], atol=2e-4, rtol=2e-3)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    output = run(folder)
    assert "untrained" in output
    return folder


def test_a_run_killed_twice_ends_in_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    kills = run_with_kills(tmp_path / "run", 2, 0, "callbacks.checkpoints.every_num_steps=5")
    assert kills
    assert_equal(uninterrupted, tmp_path / "run")


def test_a_finished_run_started_again_has_nothing_to_do(uninterrupted: Path) -> None:
    before = weights(uninterrupted)
    output = run(uninterrupted)
    assert "Resuming from" in output
    assert all(torch.equal(value, before[name]) for name, value in weights(uninterrupted).items())


def test_lightning_loads_a_checkpoint_as_its_users_do(uninterrupted: Path) -> None:
    (checkpoint,) = (uninterrupted / "checkpoints").glob("best.ckpt")
    module = BiEncoderModule.load_from_checkpoint(checkpoint)
    encoder, _ = load_encoder_folder(uninterrupted / "encoder")
    texts = texts_of([[2, 7, 3]])
    torch.testing.assert_close(module.bi_encoder.encode_queries(texts), encoder(texts))
    assert module.hparams["settings"]["seed"] == 42


@pytest.mark.parametrize("asking", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_who_is_asked_to_end_saves_first_and_the_same_command_goes_on(
    uninterrupted: Path, tmp_path: Path, asking: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = start(folder, "callbacks.checkpoints.every_num_steps=7")
    while not list((folder / "checkpoints").glob("step-*.ckpt")) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(asking)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and "Interrupted at step" in output, output
    step = int(output.split("Interrupted at step ")[1].split(".")[0])
    assert (folder / "checkpoints" / f"step-{step:08d}.ckpt").exists()
    run(folder, "callbacks.checkpoints.every_num_steps=7")
    assert_equal(uninterrupted, folder)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run(tmp_path / "one", *EXACT, "trainer.max_epochs=1")
    output = run(tmp_path / "two", *EXACT, "trainer.max_epochs=1", "trainer.devices=2", "trainer.strategy=ddp")
    assert output.count("untrained") == 1, "one process speaks"
    assert_close(tmp_path / "one", tmp_path / "two")


def test_settings_of_another_run_are_refused_by_name(uninterrupted: Path) -> None:
    process = start(uninterrupted, "model.optimizer.learning_rate=0.5")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "belongs to a run with other settings: model.optimizer.learning_rate was 0.001 and is now 0.5" in output


def test_a_run_does_not_go_on_with_a_tokenizer_that_was_changed(uninterrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted, tmp_path / "run")
    file = tmp_path / "run" / "initial_model" / "tokenizer.json"
    described = json.loads(file.read_text(encoding="utf-8"))
    one, other = (name for name, number in described["model"]["vocab"].items() if number in (100, 101))
    described["model"]["vocab"] |= {one: 101, other: 100}
    file.write_text(json.dumps(described), encoding="utf-8")
    process = start(tmp_path / "run")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "belongs to a run with other settings: tokenizer was '" in output, output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data.batches.size=100000"], "a mixed batch must have 100,000 examples, got 2,304 of 2,304 that"),
        (["data.batches.passages_per_query=3"], "a query must have a negative passage with passages_per_query=3"),
        (["data.batches.language_weights={sw: 2}"], "no training query is in 'sw'"),
        (["data.batches.order=hybrid", "data.batches.language_weights={en: 0}"], "hybrid batches must have"),
        (
            ["model=transformer", "model.path=nowhere"],
            "path must be a model folder, or the name of a model on the hub",
        ),
        (["model.optimizer.learning_rate=1e30", "model.normalize=false"], "The loss is nan"),
        (["objective=alignment"], "data.batches.twins_per_query must be at least 1 with an objective that compares queries"),
        (["resume=nowhere.ckpt"], "got nowhere.ckpt, which is no file"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    process = start(tmp_path / "run", *arguments, quick=[] if "model=transformer" in arguments else QUICK)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert says in output


def test_a_second_run_in_the_folder_of_one_that_runs_is_refused(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run"):
        process = start(tmp_path / "run")
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "must be an output_dir that no other run writes to" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["trainer.devices=2", "trainer.strategy=ddp"],
        ["noise=typos", "data.batches.noisy=[0,1]", "data.batches.hardest_of=[1,3]"],
    ],
    ids=["one process", "two processes", "the hardest of noisy versions"],
)
def test_a_run_killed_ten_times_ends_in_the_same_weights(tmp_path: Path, settings: list[str]) -> None:
    arguments = [*settings, "callbacks.checkpoints.every_num_steps=3", "trainer.max_epochs=5"]
    run(tmp_path / "whole", *arguments)
    kills = run_with_kills(tmp_path / "killed", 10, 1, *arguments)
    assert kills >= 8
    assert_equal(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_chunks_under_two_processes_with_clipping_and_accumulation_equal_one_plain_process(tmp_path: Path) -> None:
    both = [*EXACT, "trainer.max_epochs=1", "trainer.gradient_clip_val=0.1", "trainer.accumulate_grad_batches=2"]
    run(tmp_path / "plain", *both)
    run(tmp_path / "chunked", *both, "model.chunk_size=16", "trainer.devices=2", "trainer.strategy=ddp")
    assert_close(tmp_path / "plain", tmp_path / "chunked")
    both += ["objective=multi_positive_twins", "data.twins=questions:train", "data.batches.twins_per_query=2"]
    run(tmp_path / "plain2", *both, "objective.parts.contrastive.both_directions=true")
    chunked = ["model.chunk_size=16", "trainer.devices=2", "trainer.strategy=ddp"]
    run(tmp_path / "chunked2", *both, *chunked, "objective.parts.contrastive.both_directions=true")
    assert_close(tmp_path / "plain2", tmp_path / "chunked2")
