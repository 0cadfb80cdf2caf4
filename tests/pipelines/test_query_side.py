"""Passages written for queries, fused into the queries' vectors: the ranks are those of a computation by numpy."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.pipelines.test_evaluate import QUICK_EVALUATION, evaluate
from tests.runs import start
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.sharding.shards import queries_as_sources
from xdr.storage.ledger import ShardLedger
from xdr.text.prompts import passage_text
from xdr.text.records import GeneratedTexts
from xdr.writing.generated_store import KIND, write_texts

QUERIES = list(Sample().queries("dev", Problems()))
PASSAGES = list(Sample().passages(Problems()))


def texts_of(place: int) -> list[str]:
    """One to three for each query, as a generator could have written them."""
    return [PASSAGES[(7 * place + step) % len(PASSAGES)].text for step in range(1 + place % 3)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    made_by = {
        "direction": "passage_from_query",
        "sources": queries_as_sources(QUERIES).fingerprint,
        "num_sources": len(QUERIES),
        "shard_size": 1000,
        "languages": ["en"],
        "most": 3,
    }
    ledger = ShardLedger.create(folder, KIND, 2, made_by)
    texts = [GeneratedTexts(query.query_id, {"en": tuple(texts_of(place))}) for place, query in enumerate(QUERIES)]
    for shard in range(2):
        with ledger.writing(shard) as partial:
            write_texts(texts[1000 * shard : 1000 * (shard + 1)], ["en"], partial)
    return folder


def arguments(trained_encoder: Path, written: Path, *more: str) -> list[str]:
    return [f"checkpoint={trained_encoder}", "augmentation=generated_queries", f"augmentation.source={written}", *more]


def vectors(trained_encoder: Path, texts: Sequence[str]) -> NDArray[np.float64]:
    """By sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(trained_encoder / "encoder"), device="cpu")
    return np.asarray(model.encode(list(texts)), np.float64)


def sums(trained_encoder: Path, texts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Of the vectors of each one's texts."""
    vectors_TD = vectors(trained_encoder, [text for its in texts for text in its])
    starts = np.cumsum([0, *(len(its) for its in texts[:-1])])
    return np.add.reduceat(vectors_TD, starts)


def scores_in_run(file: Path) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for line in file.read_text().splitlines():
        query_id, _, passage_id, _, score, _ = line.split()
        found.setdefault(query_id, []).append((passage_id, float(score)))
    return found


def assert_ranked_as(file: Path, queries_QD: NDArray, passages_ND: NDArray, offsets_N: NDArray | float = 0) -> None:
    """Every score of the run is the product of the vectors, and no passage that is left out has a higher one."""
    expected_QN = queries_QD @ passages_ND.T + offsets_N
    row_of = {passage.passage_id: row for row, passage in enumerate(PASSAGES)}
    run = scores_in_run(file)
    for place, query in enumerate(QUERIES):
        rows, scores = zip(*((row_of[passage_id], score) for passage_id, score in run[query.query_id]), strict=True)
        assert np.allclose(scores, expected_QN[place, list(rows)], rtol=2e-3, atol=2e-3), "fp16 on disk"
        left_out = np.delete(expected_QN[place], rows)
        assert left_out.max(initial=-np.inf) <= min(scores) + 4e-3


def test_fused_queries_rank_as_numpy_says(trained_encoder: Path, written: Path, tmp_path: Path) -> None:
    hyde = ("augmentation.fusion=hyde_mean", "augmentation.alpha=null")
    correction = ("correction=csls", "correction.k=3", "correction.strengths=[0.5]", "correction.bank.source=passages")
    evaluate(tmp_path / "hyde", *arguments(trained_encoder, written, *hyde, *correction))
    output = evaluate(
        tmp_path / "sum", *arguments(trained_encoder, written, "augmentation.fusion=sum", "augmentation.alpha=0.2")
    )
    plain_QD = vectors(trained_encoder, [query.text for query in QUERIES])
    passages_ND = vectors(trained_encoder, [passage_text(passage) for passage in PASSAGES])
    texts = [texts_of(place) for place in range(len(QUERIES))]
    sums_QD = sums(trained_encoder, texts)
    counts_Q1 = np.array([[len(its)] for its in texts])
    assert_ranked_as(tmp_path / "hyde/runs/baseline.trec", plain_QD, passages_ND)
    hyde_QD = (plain_QD + sums_QD) / (counts_Q1 + 1)
    assert_ranked_as(tmp_path / "hyde/runs/hyde_mean.trec", hyde_QD, passages_ND)
    similarities_NN = passages_ND @ passages_ND.T - np.diag(np.full(len(PASSAGES), np.inf))
    penalties_N = np.sort(similarities_NN, axis=1)[:, -3:].mean(axis=1)
    assert_ranked_as(tmp_path / "hyde/runs/csls-w0.5.trec", plain_QD, passages_ND, -0.5 * penalties_N)
    assert_ranked_as(tmp_path / "hyde/runs/hyde_mean+csls-w0.5.trec", hyde_QD, passages_ND, -0.5 * penalties_N)
    assert_ranked_as(tmp_path / "sum/runs/sum-a0.2.trec", 0.8 * plain_QD + 0.2 * sums_QD, passages_ND)
    warned = "fusion=sum with 1 to 3 generated texts: the more texts a query has, the less its own vector weighs"
    page = (tmp_path / "sum" / "report.html").read_text(encoding="utf-8")
    assert warned in output and warned in page
    assert "Passages generated for a query are fused into its vector by sum." in page
    assert "Generated passages in English" in page
    assert json.loads((tmp_path / "sum" / "environment.json").read_text())["generated passages in queries"].endswith(
        ", all of each language: en"
    )


def test_passages_and_queries_are_fused_at_once(trained_encoder: Path, written: Path, tmp_path: Path) -> None:
    """Each passage's generated queries are two questions of the sample."""
    asked = [[QUERIES[(5 * row + step) % len(QUERIES)].text for step in range(2)] for row in range(len(PASSAGES))]
    file = tmp_path / "asked.jsonl"
    lines = [{"docid": p.passage_id, "generated_queries": {"en": its}} for p, its in zip(PASSAGES, asked, strict=True)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    both = ("augmentation.fusion=mean", "augmentation.alpha=[0.3]", f"augmentation.hyde={written}")
    hyde = ("augmentation.hyde_fusion=mean", "augmentation.hyde_alpha=[0.2,0.3]", "augmentation.controls=[mean_text]")
    correction = ("correction=csls", "correction.k=3", "correction.strengths=[0.5]", "correction.bank.source=passages")
    first_two = "augmentation.hyde_number=2"
    evaluate(tmp_path / "run", *arguments(trained_encoder, file, *both, *hyde, first_two, *correction))
    plain_QD = vectors(trained_encoder, [query.text for query in QUERIES])
    passages_ND = vectors(trained_encoder, [passage_text(passage) for passage in PASSAGES])
    texts = [texts_of(place)[:2] for place in range(len(QUERIES))]
    means_QD = sums(trained_encoder, texts) / np.array([[len(its)] for its in texts])
    means_ND = sums(trained_encoder, asked) / 2
    fused_ND, fused_QD = 0.7 * passages_ND + 0.3 * means_ND, 0.8 * plain_QD + 0.2 * means_QD
    runs = tmp_path / "run" / "runs"
    assert_ranked_as(runs / "baseline.trec", plain_QD, passages_ND)
    assert_ranked_as(runs / "mean-a0.3.trec", plain_QD, fused_ND)
    assert_ranked_as(runs / "mean-a0.2-queries.trec", fused_QD, passages_ND)
    assert_ranked_as(runs / "mean-a0.3+mean-a0.2-queries.trec", fused_QD, fused_ND)
    similarities_NN = passages_ND @ fused_ND.T - np.diag(np.full(len(PASSAGES), np.inf))
    penalties_N = np.sort(similarities_NN, axis=0)[-3:].mean(axis=0)
    assert_ranked_as(runs / "mean-a0.3+mean-a0.2-queries+csls-w0.5.trec", fused_QD, fused_ND, -0.5 * penalties_N)
    fused = ("mean-a0.3", "mean-a0.2-queries", "mean-a0.3-queries")
    searched = {"baseline", *fused, *(f"mean-a0.3+{of_queries}" for of_queries in fused[1:])}
    searched |= {"csls-w0.5", *(f"{system}+csls-w0.5" for system in searched - {"baseline"}), "mean-a0.3-mean_text"}
    assert {run.stem for run in runs.iterdir()} == searched
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Queries generated for a passage are fused into its vector by mean. Passages generated for a query" in page
    assert "Generated passages in English" in page


@pytest.mark.slow
def test_a_plan_on_two_processes_counts_what_the_busiest_does(
    trained_encoder: Path, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """144 passages in shards of 12, 1,152 questions, two systems. Each process encodes all questions and what was written for
    them, and searches its half for all."""
    monkeypatch.setenv("COLUMNS", "400")
    hyde = ("augmentation.fusion=hyde_mean", "augmentation.alpha=null")
    two = ("plan=true", "trainer.devices=2", "trainer.strategy=ddp")
    output = evaluate(tmp_path / "run", *arguments(trained_encoder, written, *hyde, *two))
    rows = {line.split("│")[1].strip(): line for line in output.splitlines() if " time " in line}
    assert list(rows) == ["encoding", "search", "scoring", "in all"]
    assert " 72 passages x" in rows["encoding"] and "in the busiest of 2 processes" in rows["encoding"]
    for part in (" 1,152 queries with their generated passages x", " 72 passages, for 2,304 queries, x", " 2,304 rankings x"):
        assert part in rows["search"]
    assert "1,152 queries, 2 systems, 7 metrics, x" in rows["scoring"] and "processes" not in rows["scoring"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["augmentation.fusion=hyde_mean"], "augmentation.alpha must be null with fusion=hyde_mean, got [0.01]"),
        (["augmentation.controls=[mean_text]"], "augmentation.controls must be [] with texts that were written for queries"),
        (["augmentation.keep=count"], "augmentation.keep must be 'total' with texts that were written for queries"),
        (["augmentation.hyde=elsewhere"], "augmentation.hyde must be null with texts that were written for queries"),
        (["evaluation.split=train"], "were generated for other queries (1,152) than those of evaluation.split=train (2,304)"),
    ],
)
def test_what_cannot_be_fused_into_queries_is_refused(
    trained_encoder: Path, written: Path, tmp_path: Path, more: list[str], problem: str
) -> None:
    given = arguments(trained_encoder, written, *more)
    process = start(tmp_path / "run", *given, quick=QUICK_EVALUATION, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and problem in output, output
