"""engine=ray: the files are those of engine=local, whatever dies. Slow tests run on several nodes in one machine."""

import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import evaluate
from conf import entry
from tests.pipelines import test_mine
from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.pipelines.test_generate import QUICK_GENERATION, contents, generate
from tests.runs import ROOT, run, start
from xdr.cluster.ray_engine import RayEngine
from xdr.errors import UserError
from xdr.storage.files import read_json
from xdr.writing.generated_store import GeneratedStore

ray = pytest.importorskip("ray", reason="engine=ray needs Ray: pip install 'xdr[ray]'")

ON_RAY = ["engine=ray", "engine.workers=2"]
made = test_mine.made
PLUGIN = ROOT / "tests" / "plugin"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))


@pytest.fixture(scope="module")
def local(trained_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The texts of engine=local."""
    folder = tmp_path_factory.mktemp("local") / "run"
    generate(folder, trained_generator)
    return contents(folder)


def start_generation(folder: Path, trained: Path, *arguments: str) -> Any:
    return start(folder, f"checkpoint={trained}", *arguments, quick=QUICK_GENERATION, script="evaluate.py")


def workers_of(process: int) -> list[psutil.Process]:
    """Ray names a worker's process after what it does."""
    try:
        descendants = psutil.Process(process).children(recursive=True)
        return [one for one in descendants if "ray::Worker" in " ".join(one.cmdline())]
    except psutil.NoSuchProcess:  # it has just ended
        return []


def test_vectors_rankings_and_scores_are_those_of_one_process(trained_encoder: Path, tmp_path: Path) -> None:
    """The correction measures hubs on the workers, too."""
    correction = ["correction=csls", "correction.bank.source=passages", "correction.k=3", "correction.strengths=[0.5]"]
    arguments = [f"checkpoint={trained_encoder}", *correction]
    run(tmp_path / "local", *arguments, quick=QUICK_EVALUATION, script="evaluate.py")
    run(tmp_path / "ray", *arguments, *ON_RAY, quick=QUICK_EVALUATION, script="evaluate.py")
    assert contents(tmp_path / "ray") == contents(tmp_path / "local") != {}
    for file in ("metrics.json", "significance.json", "runs/baseline.trec", "runs/csls-w0.5.trec"):
        assert (tmp_path / "ray" / file).read_bytes() == (tmp_path / "local" / file).read_bytes()


@pytest.mark.slow
def test_a_round_of_mining_is_that_of_one_process(made: Path, tmp_path: Path) -> None:
    """It encodes, searches, and scores with a teacher."""
    test_mine.mine(tmp_path / "local", made)
    test_mine.mine(tmp_path / "ray", made, *ON_RAY)
    for file in ("mined.jsonl", "runs/baseline.trec"):
        assert (tmp_path / "ray" / file).read_bytes() == (tmp_path / "local" / file).read_bytes()
    assert contents(tmp_path / "ray") == contents(tmp_path / "local") != {}


@pytest.mark.slow
def test_ten_killed_workers_change_nothing(local: dict[str, bytes], trained_generator: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    process = start_generation(tmp_path / "run", trained_generator, *ON_RAY, "engine.tries=20")
    kills = 0
    while process.poll() is None:
        time.sleep(rng.uniform(0.3, 2))
        if kills < 10 and (workers := workers_of(process.pid)):
            with suppress(psutil.NoSuchProcess):
                rng.choice(workers).kill()
                kills += 1
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert contents(tmp_path / "run") == local
    assert kills >= 5, "it was over before many were killed"


@pytest.mark.slow
def test_a_killed_command_goes_on(local: dict[str, bytes], trained_generator: Path, tmp_path: Path) -> None:
    process = start_generation(tmp_path / "run", trained_generator, *ON_RAY)
    while not contents(tmp_path / "run"):
        time.sleep(0.2)
    begun = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert 0 < len(contents(tmp_path / "run")) < len(local)
    psutil.wait_procs(begun, timeout=60)
    assert not [one for one in begun if one.is_running()], "the cluster ends with the command"
    generate(tmp_path / "run", trained_generator, *ON_RAY)
    assert contents(tmp_path / "run") == local


@pytest.mark.slow
def test_a_passage_that_kills_is_taken_as_empty_and_named(
    local: dict[str, bytes], trained_generator: Path, tmp_path: Path
) -> None:
    """The sample's passage 11 is about cinnamon; it is in the first of twelve shards."""
    backend = ["plugins=[mylab]", "augmentation.generation.backend._target_=mylab.Deadly"]
    word = "+augmentation.generation.backend.word='the inner bark'"
    arguments = [*ON_RAY, "engine.tries=2", *backend, word]
    for _ in range(2):  # the second time, all shards exist
        output = generate(tmp_path / "run", trained_generator, *arguments)
        assert "1 of the texts killed each process that worked on them, and were taken as empty: 11" in output
    (folder,) = (tmp_path / "run" / "artifacts" / "generated").iterdir()
    texts = {one.source_id: one.texts for one in GeneratedStore(folder)}
    assert not any(texts["11"].values())
    assert read_json(folder / "shard-00000" / "shard.json")["emptied"] == ["11"]
    assert texts_by_shard(contents(tmp_path / "run")) == texts_by_shard(local)


def texts_by_shard(files: dict[str, bytes]) -> dict[str, bytes]:
    """Of all shards but the first."""
    named = {Path(name): content for name, content in files.items()}
    return {
        f"{file.parent.name}/{file.name}": content
        for file, content in named.items()
        if file.parent.name != "shard-00000" and file.name != "shard.json"
    }


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without room for workers, to which nodes are added."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else it is kept in the home folder
    monkeypatch.setenv("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_a_node_can_leave_and_another_one_join(
    local: dict[str, bytes], trained_generator: Path, tmp_path: Path, cluster: Any
) -> None:
    leaving = cluster.add_node(num_cpus=1)
    process = start_generation(tmp_path / "run", trained_generator, "engine=ray", f"engine.address={cluster.address}")
    while not contents(tmp_path / "run"):
        time.sleep(0.2)
    cluster.remove_node(leaving, allow_graceful=False)
    cluster.add_node(num_cpus=1)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert contents(tmp_path / "run") == local


@pytest.mark.slow
def test_rankings_that_do_not_fit_into_the_object_store_arrive(
    trained_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """41 systems of 1,152 queries, 100 ranks and 12 bytes, from each of two workers, are 113 MB; the store has 80."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_worker_niceness", "0")
    alphas = ",".join(str(number / 40) for number in range(1, 41))
    fused = ["augmentation=generated_queries", "augmentation.source=questions:train", "augmentation.fusion=unit_mean"]
    arguments = [f"checkpoint={trained_encoder}", *fused, f"augmentation.alpha=[{alphas}]", "evaluation.runs=false"]
    run(tmp_path / "local", *arguments, quick=QUICK_EVALUATION, script="evaluate.py")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 80_000_000})
    try:
        on_it = ["engine=ray", f"engine.address={cluster.address}"]
        run(tmp_path / "ray", *arguments, *on_it, quick=QUICK_EVALUATION, script="evaluate.py")
    finally:
        cluster.shutdown()
    assert (tmp_path / "ray" / "metrics.json").read_bytes() == (tmp_path / "local" / "metrics.json").read_bytes()


def test_what_cannot_be_is_refused_in_a_sentence(trained_generator: Path, tmp_path: Path) -> None:
    process = start_generation(tmp_path / "run", trained_generator, "engine=ray", "engine.gpus=1000")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and output.count("Traceback") == 0
    assert "error: this machine has no room for a worker with 1 CPUs and 1000 GPUs (engine.cpus, engine.gpus)" in output
    with pytest.raises(UserError, match="engine.tries at least 1, got 0, 0, 0 and 3"):
        RayEngine(cpus=0)


@pytest.mark.parametrize("arguments", [["stage=prepare"], ["stage=sweep"], ["stage=encode", "plan=true"]])
def test_where_there_is_no_work_for_a_cluster_it_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=f"engine must be local with {arguments[-1]}: there is no work for a cluster"):
        evaluate.main(entry.compose("evaluate", [*arguments, "engine=ray"]))


def test_several_devices_of_a_command_on_a_cluster_are_refused() -> None:
    with pytest.raises(UserError, match=r"trainer.devices must be auto or 1 with this engine, got 4. Set engine.workers"):
        evaluate.main(entry.compose("evaluate", ["stage=encode", "engine=ray", "trainer.devices=4"]))
