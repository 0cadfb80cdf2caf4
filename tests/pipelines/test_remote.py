"""Data and artifacts on S3: the results are those of folders, on machines that share nothing else."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.pipelines.test_generate import QUICK_GENERATION, contents
from tests.runs import run, start
from xdr.benchmarks.sample import FOLDER
from xdr.storage.files import read_json

s3fs = pytest.importorskip("s3fs", reason="data.path and artifacts_dir on S3 need s3fs: pip install 'xdr[remote]'")
moto_server = pytest.importorskip("moto.server", reason="an S3 server is needed: pip install 'moto[s3]' flask flask-cors")

ART = "artifacts_dir=s3://bucket/artifacts"
ON_S3 = "data.path=s3://bucket/sample"
SAMPLE = [
    "data=xor_tydi",
    "data.passages_file=passages.tsv",
    "data.train_file=xor_train_retrieve_eng_span.jsonl",
    "data.dev_file=xor_dev_retrieve_eng_span_v1_1.jsonl",
    "data.examples_from=gold_paragraphs",
]
"""Its files, read as those of XOR-TyDi."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> "Iterator[s3fs.S3FileSystem]":
    """S3 with the sample's files. Its address is in the environment."""
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in {**values, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    files.mkdir("bucket")
    files.put(f"{FOLDER}/", "bucket/sample/", recursive=True)
    yield files
    files.rm("bucket", recursive=True)
    server.stop()


def evaluate(folder: Path, *arguments: str) -> str:
    return run(folder, *arguments, quick=QUICK_EVALUATION, script="evaluate.py")


def generate(folder: Path, trained: Path, *arguments: str) -> str:
    return run(folder, f"checkpoint={trained}", *arguments, quick=QUICK_GENERATION, script="evaluate.py")


def made(bucket: "s3fs.S3FileSystem") -> dict[str, object]:
    """When each object was written."""
    return {name: described["LastModified"] for name, described in bucket.find("bucket/artifacts", detail=True).items()}


def test_rankings_and_scores_are_those_of_folders(bucket: "s3fs.S3FileSystem", trained_encoder: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "local", f"checkpoint={trained_encoder}", *SAMPLE, f"data.path={FOLDER}")
    evaluate(tmp_path / "remote", f"checkpoint={trained_encoder}", *SAMPLE, ON_S3, ART)
    before = made(bucket)
    evaluate(tmp_path / "another", f"checkpoint={trained_encoder}", *SAMPLE, ON_S3, ART)
    assert made(bucket) == before
    assert contents(tmp_path / "another" / "mirror") != {}
    for file in ("metrics.json", "significance.json", "runs/baseline.trec"):
        expected = (tmp_path / "local" / file).read_bytes()
        assert (tmp_path / "remote" / file).read_bytes() == (tmp_path / "another" / file).read_bytes() == expected


@pytest.mark.slow
def test_generated_texts_are_found_by_their_address(
    bucket: "s3fs.S3FileSystem", trained_generator: Path, trained_encoder: Path, tmp_path: Path
) -> None:
    generate(tmp_path / "local", trained_generator)
    generate(tmp_path / "remote", trained_generator, ART)
    assert {name.replace("mirror", "artifacts"): file for name, file in contents(tmp_path / "remote").items()} == contents(
        tmp_path / "local"
    )
    source = str(read_json(tmp_path / "remote" / "generated.json")["generated"])
    assert source.startswith("s3://bucket/artifacts/generated/")
    shutil.rmtree(tmp_path / "remote" / "mirror")
    augmented = [f"checkpoint={trained_encoder}", "augmentation=generated_queries", "augmentation.alpha=0.3"]
    evaluate(tmp_path / "a", *augmented, f"augmentation.source={source}", ART)
    evaluate(tmp_path / "b", *augmented, f"augmentation.source={tmp_path / 'remote'}", ART)
    evaluate(tmp_path / "c", *augmented, f"augmentation.source={tmp_path / 'local'}")
    scores = [(tmp_path / name / "metrics.json").read_bytes() for name in "abc"]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.slow
def test_a_cluster_gives_what_one_process_gives(bucket: "s3fs.S3FileSystem", trained_encoder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="engine=ray needs Ray: pip install 'xdr[ray]'")
    evaluate(tmp_path / "local", f"checkpoint={trained_encoder}", *SAMPLE, ON_S3)
    evaluate(tmp_path / "ray", f"checkpoint={trained_encoder}", *SAMPLE, ON_S3, ART, "engine=ray", "engine.workers=2")
    for file in ("metrics.json", "significance.json", "runs/baseline.trec"):
        assert (tmp_path / "ray" / file).read_bytes() == (tmp_path / "local" / file).read_bytes()


@pytest.mark.slow
def test_killed_machines_leave_what_an_undisturbed_one_leaves(
    bucket: "s3fs.S3FileSystem", trained_generator: Path, tmp_path: Path
) -> None:
    """Each command begins with an empty folder, as on a new machine. Only the store is shared."""
    generate(tmp_path / "local", trained_generator)
    rng, kills = random.Random(0), 0
    for number in range(100):
        process = start(
            tmp_path / f"machine-{number}", f"checkpoint={trained_generator}", ART, quick=QUICK_GENERATION, script="evaluate.py"
        )
        had, deadline = len(made(bucket)), time.time() + rng.uniform(2, 12)
        while process.poll() is None and time.time() < deadline and len(made(bucket)) < had + rng.randint(1, 8):
            time.sleep(0.05)
        if process.poll() is None and kills < 10:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
            process.communicate()
            continue
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        break
    assert kills >= 5, "it was over before it was killed often"
    generate(tmp_path / "reader", trained_generator, ART)
    written = {name.replace("mirror", "artifacts"): file for name, file in contents(tmp_path / "reader").items()}
    assert written == contents(tmp_path / "local")
