"""Sweeps as a user starts them: killed, in processes of their own, with Optuna."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.runs import QUICK, ROOT, run, start, weights
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.models import SmallBiEncoder
from xdr.storage.jobs import Job, read_jobs


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of an evaluation of a second: an untrained encoder, and as generated questions those of the training set."""
    folder = tmp_path_factory.mktemp("parts")
    bi_encoder, tokenizer = SmallBiEncoder("bert", 32, 1, 0.0, "mean", True, 16, 32, "", "").build(folder, seed=0)
    save_encoder(bi_encoder.encoder, tokenizer, folder / "encoder")
    sample = Sample()
    asked = {p.passage_id: {"fi": [p.title], "ja": [p.title]} for p in sample.passages(Problems())}
    for example in sample.examples("train", Problems()):
        if example.query.language in ("fi", "ja"):
            asked[example.positives[0].passage_id][example.query.language].append(example.query.text)
    rows = [{"docid": key, "title": "", "text": "-", "generated_queries": texts} for key, texts in asked.items()]
    (folder / "xqg.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        "data=sample",
        f"checkpoint={folder / 'encoder'}",
        "augmentation=generated_queries",
        f"augmentation.source={folder / 'xqg.jsonl'}",
        "augmentation.fusion=unit_mean",
        "augmentation.keep=count",
        "search.shard_size=36",
        "evaluation.metrics=[recall@10,MRR@10]",
        "evaluation.headline=MRR@10",
        "evaluation.num_samples=100",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
    ]


GRID = ["-m", "augmentation.alpha=0.1,0.3,0.5", "augmentation.number=1,2"]


def sweep(folder: Path, *arguments: str, quick: list[str], script: str = "evaluate.py", status: int = 0) -> str:
    process = start(folder, *arguments, quick=quick, script=script)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == status, output
    return output


def results(folder: Path) -> dict[str, bytes]:
    """What jobs leave that says nothing of when and where."""
    names = ("metrics.json", "significance.json", "per_query.parquet")
    kept = [path for path in sorted(folder.rglob("*")) if path.name in names or path.suffix == ".trec"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def shards(folder: Path) -> dict[str, int]:
    """When each shard of vectors was made."""
    made = sorted((folder / "artifacts" / "embeddings").rglob("shard-*/shard.json"))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in made}


def states(folder: Path) -> list[str]:
    return [job.state for job in read_jobs(folder)]


@pytest.fixture(scope="module")
def whole(evaluation: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    output = sweep(folder, "-m", "augmentation.alpha=0.1,0.3,0.5", "augmentation.number=1,2,3", quick=evaluation)
    assert "9 jobs" in output and "9 done" in output
    assert "Macro mean" not in output and output.count("MRR@10 over 8 languages") == 9, "each job says its answer alone"
    return folder


def test_a_sweep_of_alpha_and_number_encodes_once(whole: Path) -> None:
    assert len(shards(whole)) == 4, "144 passages in shards of 36, of one set of embeddings"
    first = min(read_jobs(whole), key=lambda job: (whole / job.name / "metrics.json").stat().st_mtime_ns)
    assert max(shards(whole).values()) < (first.folder / "metrics.json").stat().st_mtime_ns
    systems = {(job.folder / "metrics.json").read_text() for job in read_jobs(whole)}
    assert len(systems) == 9, "and each job found something else"


def test_a_job_s_value_is_the_headline_of_its_best_system(whole: Path) -> None:
    for job in read_jobs(whole):
        metrics = json.loads((job.folder / "metrics.json").read_text())
        assert job.value == max(values["MRR@10"]["macro"] for values in metrics.values())


def test_what_is_done_is_not_done_again(whole: Path, evaluation: list[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.json")}
    output = sweep(whole, *GRID, quick=evaluation)
    assert "6 jobs" in output and "6 done before" in output
    changed = {path.name for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert changed == {"sweep.json"}


def test_one_command_reads_a_sweep(whole: Path) -> None:
    output = run(whole, "stage=sweep", "evaluation.num_samples=200", quick=[], script="evaluate.py")
    assert "9 jobs: 9 done" in output and "MRR@10 is highest for unit_mean" in output
    rows = pq.read_table(whole / "sweep.parquet").to_pylist()
    assert len(rows) == (1 + 9) * 2 * 9, "the baseline and nine points, two metrics, eight languages and macro"
    baseline = next(row["value"] for row in rows if (row["point"], row["metric"], row["lang"]) == ("baseline", "MRR@10", "fi"))
    metrics = json.loads((read_jobs(whole)[0].folder / "metrics.json").read_text())
    assert baseline == metrics["baseline"]["MRR@10"]["fi"]
    assert "Along number" in (whole / "sweep.html").read_text()
    assert (whole / "metrics.csv").exists(), "what the logger was told"


def test_a_folder_that_is_no_sweep_s_is_not_read(tmp_path: Path) -> None:
    output = sweep(tmp_path / "empty", "stage=sweep", quick=[], status=2)
    assert "which has no sweep.json" in output


def kill_once(folder: Path, arguments: list[str], quick: list[str], rng: random.Random, script: str = "evaluate.py") -> bool:
    """At a random moment after the next job has begun."""
    begun = len(list(folder.glob("*/job.json")))
    process = start(folder, *arguments, quick=quick, script=script)
    deadline = time.time() + 120
    while process.poll() is None and len(list(folder.glob("*/job.json"))) == begun and time.time() < deadline:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 1.5))
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return killed


def with_kills(folder: Path, num_kills: int, evaluation: list[str]) -> int:
    rng = random.Random(num_kills)
    kills = sum(kill_once(folder, GRID, evaluation, rng) for _ in range(num_kills))
    sweep(folder, *GRID, quick=evaluation)
    assert states(folder) == ["done"] * 6
    return kills


def test_killed_and_started_again_a_sweep_comes_to_the_same_files(whole: Path, evaluation: list[str], tmp_path: Path) -> None:
    assert with_kills(tmp_path / "sweep", 1, evaluation) == 1
    found = results(tmp_path / "sweep")
    assert len(found) == 6 * 5
    assert found == {name: content for name, content in results(whole).items() if name in found}


@pytest.mark.slow
def test_killed_three_times_a_sweep_of_six_comes_to_the_same_files(evaluation: list[str], tmp_path: Path) -> None:
    sweep(tmp_path / "one", *GRID, quick=evaluation)
    assert with_kills(tmp_path / "two", 3, evaluation) == 3
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert shards(tmp_path / "two").keys() == shards(tmp_path / "one").keys()


STUDY = ["study=sample_study", "evaluation.num_samples=200", "noise.versions=2", "search.shard_size=36"]
STUDY_TRAINING = [
    "study=sample_study_train",
    *(setting for setting in QUICK if "epochs" not in setting),
    "trainer.max_steps=4",
    "seed=1",
]


def page_of_study(folder: Path, num_kills: int) -> tuple[int, str, dict[str, bytes]]:
    """Trains, evaluates and reads a study, killed in each sweep. Returns how often it was killed, the page without the times of
    the jobs, and the files of the jobs."""
    rng, kills = random.Random(num_kills), 0
    for script, where, quick in (("train.py", "train", STUDY_TRAINING), ("evaluate.py", "test", STUDY)):
        arguments = [f"checkpoint={folder}/train/*"] if where == "test" else []
        kills += sum(kill_once(folder / where, arguments, quick, rng, script) for _ in range(num_kills))
        sweep(folder / where, *arguments, quick=quick, script=script)
    sweep(folder / "test", "stage=sweep", quick=[])
    page = (folder / "test" / "sweep.html").read_text("utf-8")
    return kills, page[: page.index("<section><h2>Commands")], results(folder / "test")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_study_that_is_killed_and_resumed_comes_to_the_same_page(tmp_path: Path) -> None:
    for name in ("once", "killed"):
        (tmp_path / name).mkdir()
    none, page, files = page_of_study(tmp_path / "once", 0)
    some, same_page, same_files = page_of_study(tmp_path / "killed", 1)
    assert none == 0 and some > 0
    assert "MRR@10 against share" in page and "experiment=sample_noisy" in page
    assert same_page.replace(str(tmp_path / "killed"), str(tmp_path / "once")) == page
    assert sorted(files.values()) == sorted(same_files.values())


def test_a_job_that_fails_stops_no_other_and_is_tried_again_if_asked(evaluation: list[str], tmp_path: Path) -> None:
    arguments = ["-m", "augmentation.alpha=7,0.1"]
    output = sweep(tmp_path / "sweep", *arguments, quick=evaluation, status=1)
    assert states(tmp_path / "sweep") == ["failed", "done"]
    failed, done = read_jobs(tmp_path / "sweep")
    assert "must be from 0 to 1, got 7" in failed.error and failed.error in output
    output = sweep(tmp_path / "sweep", *arguments, quick=evaluation, status=1)
    assert "failed before" in output and "1 done before, 1 failed" in output
    time.sleep(1)
    sweep(tmp_path / "sweep", *arguments, "retry=true", quick=evaluation, status=1)
    again, kept = read_jobs(tmp_path / "sweep")
    assert again.started > failed.started
    assert kept == done


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["subprocess", "ray_subprocess"])
def test_jobs_in_processes_of_their_own_come_to_the_same_files(
    whole: Path, evaluation: list[str], tmp_path: Path, launcher: str
) -> None:
    if launcher == "ray_subprocess":
        pytest.importorskip("ray", reason="ray_subprocess needs Ray: pip install 'xdr[ray]'")
    arguments = ["-m", "augmentation.alpha=0.1,9,0.3", "augmentation.number=2"]
    side_by_side = [f"hydra/launcher={launcher}", "hydra.launcher.n_jobs=2"]
    output = sweep(tmp_path / "sweep", *arguments, *side_by_side, quick=evaluation, status=1)
    assert "2 done, 1 failed" in output
    found = results(tmp_path / "sweep")
    assert len(found) == 2 * 5
    assert found == {name: content for name, content in results(whole).items() if name in found}
    assert len(shards(tmp_path / "sweep")) == 4
    for job in read_jobs(tmp_path / "sweep"):
        assert "from 0 to 1" in (job.folder / "output.txt").read_text() or job.state == "done"


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_other_launchers_keep_the_same_ledger(launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # submitit's jobs begin elsewhere
    arguments = ["-m", "stage=prepare", "data.strict=true,false", f"hydra/launcher={launcher}"]
    sweep(tmp_path / "sweep", *arguments, quick=[])
    assert states(tmp_path / "sweep") == ["done", "done"]


TRAINING = [
    *(setting for setting in QUICK if "learning_rate" not in setting),  # a fixed value is not searched for
    "trainer.max_steps=2",
    "trainer.accelerator=cpu",
]


def assert_trained_alone(job: Job, folder: Path) -> None:
    """One process with the job's learning rate comes to the same weights as its two, which Adam moves by about the rate a step:
    to a tenth of that."""
    rate = job.settings["model"]["optimizer"]["learning_rate"]  # type: ignore[index, call-overload]
    run(folder, f"model.optimizer.learning_rate={rate}", "model.dropout=0", "trainer.devices=1", quick=TRAINING)
    ours, theirs = weights(job.folder), weights(folder)
    assert all(torch.allclose(ours[name], theirs[name], atol=rate / 10) for name in theirs)


DDP = ["hydra/launcher=subprocess", "trainer.devices=2", "trainer.strategy=ddp", "model.dropout=0"]


@pytest.mark.slow
def test_optuna_with_ddp_trains_each_model_with_one_learning_rate(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    arguments = ["-m", "model.optimizer.learning_rate=interval(0.001,0.1)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2"]
    arguments += ["hydra.sweeper.direction=maximize", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.n_jobs=1", *DDP]
    sweep(tmp_path / "sweep", *arguments, quick=TRAINING, script="train.py")
    jobs = read_jobs(tmp_path / "sweep")
    assert [job.state for job in jobs] == ["done", "done"]
    best = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(job.value or 0 for job in jobs) > 0
    assert_trained_alone(jobs[1], tmp_path / "alone")
    output = sweep(tmp_path / "sweep", *arguments, quick=TRAINING, script="train.py")
    assert "2 done before" in output, "the same seed proposes the same again"


@pytest.mark.slow
def test_a_grid_with_ddp_trains_each_model_with_one_learning_rate(tmp_path: Path) -> None:
    sweep(tmp_path / "sweep", "-m", "model.optimizer.learning_rate=0.001,0.1", *DDP, quick=TRAINING, script="train.py")
    jobs = read_jobs(tmp_path / "sweep")
    assert [job.settings["model"]["optimizer"]["learning_rate"] for job in jobs] == [0.001, 0.1]  # type: ignore[index, call-overload]
    for job in jobs:
        assert_trained_alone(job, tmp_path / job.name)


def test_who_ends_the_launcher_ends_its_jobs(tmp_path: Path) -> None:
    arguments = ["-m", "seed=1,2", "hydra/launcher=subprocess", "callbacks.checkpoints.every_num_steps=5"]
    process = start(tmp_path / "sweep", *arguments, script="train.py")
    deadline = time.time() + 120
    while not list((tmp_path / "sweep").rglob("step-*.ckpt")) and process.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    (job,) = (job for job in read_jobs(tmp_path / "sweep") if job.state == "running")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert states(tmp_path / "sweep") == ["interrupted", "waiting"]
    with pytest.raises(ProcessLookupError):
        os.kill(job.process, 0)
    assert "Run the same command to resume." in (job.folder / "output.txt").read_text()
