"""An evaluation as a user starts it: its files, killed, on two processes, beside sentence-transformers."""

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.training.runs import QUICK_GENERATOR, run, start
from tests.training.test_generate import QUICK_GENERATION
from xdr.data.problems import Problems
from xdr.data.sample import Sample
from xdr.text.prompts import passage_text

QUICK_EVALUATION = [
    "data=sample",
    "search.shard_size=12",
    "evaluation.num_samples=200",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    run(folder / "generator", "trainer.max_epochs=1", quick=QUICK_GENERATOR)
    arguments = (f"checkpoint={folder / 'generator'}", "augmentation.generation.refuse=[]")
    run(folder / "texts", *arguments, quick=QUICK_GENERATION, script="evaluate.py")
    return folder / "texts"


def augmented(generated: Path) -> list[str]:
    return [
        "augmentation=generated_queries",
        f"augmentation.source={generated}",
        "augmentation.alpha=[0.1,0.3]",
        "augmentation.fusion=unit_mean",
    ]


def evaluate(folder: Path, *arguments: str) -> str:
    return run(folder, *arguments, quick=QUICK_EVALUATION, script="evaluate.py")


def metrics(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((folder / "metrics.json").read_text())
    return found


def runs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "runs").iterdir())}


def vectors(folder: Path) -> dict[str, bytes]:
    store = folder / "artifacts" / "embeddings"
    return {str(f.relative_to(store)): f.read_bytes() for f in sorted(store.rglob("shard-*/*"))}


@pytest.fixture(scope="module")
def whole(trained_encoder: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    output = evaluate(folder, f"checkpoint={trained_encoder}", *augmented(generated))
    assert "baseline" in output and "The report is" in output
    return folder


def test_an_evaluation_leaves_its_files(whole: Path) -> None:
    found = metrics(whole)
    assert list(found) == ["baseline", "unit_mean-a0.1", "unit_mean-a0.3"]
    assert set(found["baseline"]) == {"R@2kt", "R@5kt", "recall@1", "recall@10", "recall@100", "MRR@10", "nDCG@10"}
    languages = {"ar", "bn", "en", "fi", "ja", "ko", "ru", "te"}
    assert set(found["baseline"]["recall@10"]) == {*languages, "macro"}
    rows = pq.read_table(whole / "per_query.parquet").to_pylist()
    its = [row["value"] for row in rows if (row["system"], row["metric"], row["lang"]) == ("baseline", "MRR@10", "fi")]
    assert len(its) == 144 and sum(its) / 144 == pytest.approx(found["baseline"]["MRR@10"]["fi"])
    comparisons = json.loads((whole / "significance.json").read_text())["comparisons"]
    assert len(comparisons) == 2 * 7 * 9
    assert all(each["corrected_p"].keys() == each["p"].keys() for each in comparisons)
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["versions"]["torch"] and environment["encoder"] and environment["generated texts"]
    assert "unit_mean-a0.1" in (whole / "report.html").read_text(encoding="utf-8")
    assert len(runs(whole)["baseline.trec"].splitlines()) == 1152 * 100


def test_sentence_transformers_own_evaluator_finds_the_same(whole: Path, trained_encoder: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    sample = Sample()
    queries = {q.query_id: q.text for q in sample.queries("dev", Problems())}
    relevant = {j.query_id: {j.passage_id} for j in sample.judgements("dev", Problems())}
    corpus = {p.passage_id: passage_text(p) for p in sample.passages(Problems())}
    judge = InformationRetrievalEvaluator(
        queries,
        corpus,
        relevant,
        mrr_at_k=[10],
        ndcg_at_k=[10],
        accuracy_at_k=[1, 10],
        precision_recall_at_k=[1, 10, 100],
        map_at_k=[100],
    )
    model = SentenceTransformer(str(trained_encoder / "encoder"), device="cpu")
    theirs = judge(model)
    rows = pq.read_table(whole / "per_query.parquet").to_pylist()
    for metric, name in (("recall@1", "recall@1"), ("recall@10", "recall@10"), ("MRR@10", "mrr@10"), ("nDCG@10", "ndcg@10")):
        ours = [row["value"] for row in rows if (row["system"], row["metric"]) == ("baseline", metric)]
        (value,) = (found for key, found in theirs.items() if key.endswith(f"dot_{name}"))
        assert sum(ours) / len(ours) == pytest.approx(value, abs=2e-3), f"{metric}: fp16 on disk may order near ties otherwise"


def test_two_processes_find_what_one_finds(whole: Path, trained_encoder: Path, generated: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "run", f"checkpoint={trained_encoder}", *augmented(generated), "trainer.devices=2")
    assert vectors(tmp_path / "run") == vectors(whole)
    assert metrics(tmp_path / "run") == metrics(whole)
    assert runs(tmp_path / "run") == runs(whole)


def encode_with_kills(folder: Path, arguments: Sequence[str], num_kills: int, seed: int) -> int:
    rng = random.Random(seed)
    kills = 0
    for number in range(num_kills):
        devices = f"trainer.devices={1 + number % 2}"
        process = start(folder, *arguments, devices, "stage=encode", quick=QUICK_EVALUATION, script="evaluate.py")
        before, deadline = len(vectors(folder)), time.time() + 120
        while process.poll() is None and len(vectors(folder)) == before and time.time() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    return kills


def test_killed_while_encoding_it_goes_on_to_the_same_bytes(
    whole: Path, trained_encoder: Path, generated: Path, tmp_path: Path
) -> None:
    arguments = [f"checkpoint={trained_encoder}", *augmented(generated)]
    encode_with_kills(tmp_path / "run", arguments, 2, 1)
    evaluate(tmp_path / "run", *arguments)
    assert vectors(tmp_path / "run") == vectors(whole)
    assert metrics(tmp_path / "run") == metrics(whole)


@pytest.mark.slow
def test_killed_ten_times_while_encoding_it_goes_on_to_the_same_bytes(
    whole: Path, trained_encoder: Path, generated: Path, tmp_path: Path
) -> None:
    arguments = [f"checkpoint={trained_encoder}", *augmented(generated), "search.shard_size=2"]
    evaluate(tmp_path / "one", *arguments)
    assert encode_with_kills(tmp_path / "two", arguments, 10, 2) >= 3
    evaluate(tmp_path / "two", *arguments)
    assert vectors(tmp_path / "two") == vectors(tmp_path / "one")
    assert metrics(tmp_path / "two") == metrics(tmp_path / "one") == metrics(whole)


def test_all_passages_are_ranked_where_the_depth_is_0(trained_encoder: Path, whole: Path, tmp_path: Path) -> None:
    """Every passage of the sample is English: what is searched in another language than the question's is all there is."""
    arguments = ("search.depth=0", "evaluation.metrics=[MAP,MAP-mono,MAP-cross,rank_spread]")
    output = evaluate(tmp_path / "run", f"checkpoint={trained_encoder}", *arguments)
    assert "rank_spread is left out: no query has relevant passages in two languages" in output
    found = metrics(tmp_path / "run")["baseline"]
    assert list(found["MAP-mono"]) == ["en", "macro"] and found["MAP-mono"]["en"] == found["MAP"]["en"]
    assert found["MAP-cross"]["fi"] == found["MAP"]["fi"] and "en" not in found["MAP-cross"]
    lines = runs(tmp_path / "run")["baseline.trec"].splitlines()
    assert len(lines) == 1152 * 144
    first = {tuple(line.split()[:4]) for line in lines if int(line.split()[3]) <= 100}
    assert first == {tuple(line.split()[:4]) for line in runs(whole)["baseline.trec"].splitlines()}


def test_a_checkpoint_gives_what_the_folder_of_its_training_gives(trained_encoder: Path, whole: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "run", f"checkpoint={trained_encoder / 'checkpoints' / 'best.ckpt'}")
    assert metrics(tmp_path / "run")["baseline"] == metrics(whole)["baseline"]


def test_earlier_evaluations_are_compared_with(whole: Path, trained_encoder: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "run", f"checkpoint={trained_encoder}", f"compare_to=[{whole}]")
    found = metrics(tmp_path / "run")
    assert found["run:unit_mean-a0.1"] == metrics(whole)["unit_mean-a0.1"]
    comparisons = json.loads((tmp_path / "run" / "significance.json").read_text())["comparisons"]
    same = [each for each in comparisons if each["system"] == "run:baseline"]
    assert same and all(p == 1 for each in same for p in each["p"].values()), "identical systems"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["search.depth=145"], "145"),
        (["evaluation.metrics=[recal@10]"], "recall@10"),
        (["evaluation.split=tset"], "tset"),
        (["evaluation.headline=rank_spread"], "take one that is a share"),
        (["augmentation=generated_queries"], "needs augmentation.source"),
        (["augmentation=generated_queries", "augmentation.source=nowhere"], "There is no such thing"),
        (
            ["augmentation=generated_queries", "augmentation.source={generated}", "augmentation.alpha=1.5"],
            "from 0 to 1, and 1.5 came",
        ),
        (["augmentation=generated_queries", "augmentation.source={generated}", "augmentation.languages=[te]"], "names 'te'"),
        (["checkpoint=nowhere"], "is no checkpoint"),
        (["compare_to=[nowhere]"], "is no evaluation's output folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    trained_encoder: Path, generated: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    filled = [argument.replace("{generated}", str(generated)) for argument in arguments]
    process = start(tmp_path / "run", f"checkpoint={trained_encoder}", *filled, quick=QUICK_EVALUATION, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert problem in output, output
