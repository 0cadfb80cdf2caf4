"""Earlier evaluations, of other encoders, paired by query id."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import scipy.stats

from tests.pipelines.test_evaluate import QUICK_EVALUATION, evaluate
from tests.runs import start
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.retrieval.trec_runs import read_run

MRR = "evaluation.metrics=[MRR@10]"


@pytest.fixture(scope="module")
def untrained(trained_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of the encoder as its training began."""
    folder = tmp_path_factory.mktemp("earlier") / "untrained"
    evaluate(folder, f"checkpoint={trained_encoder / 'checkpoints' / 'model'}", MRR)
    return folder


def per_query(folder: Path) -> dict[str, float]:
    rows = pq.read_table(folder / "per_query.parquet").to_pylist()
    return {row["query_id"]: row["value"] for row in rows if row["system"] == "baseline"}


def test_another_encoder_s_evaluation_is_compared_query_by_query(
    untrained: Path, trained_encoder: Path, tmp_path: Path
) -> None:
    output = evaluate(tmp_path, f"checkpoint={trained_encoder}", MRR, f"compare_to=[{untrained}]")
    before, after = per_query(tmp_path), per_query(untrained)
    comparisons = json.loads((tmp_path / "significance.json").read_text())["comparisons"]
    macro, finnish = ({each["language"]: each for each in comparisons}[language] for language in ("macro", "fi"))
    assert (macro["baseline"], macro["system"], macro["n"]) == ("baseline", "untrained:baseline", 1152)
    assert macro["mean_difference"] < 0 and macro["p"]["sign-flip randomisation"] < 0.05
    in_finnish = [query.query_id for query in Sample().queries("dev", Problems()) if query.language == "fi"]
    expected = scipy.stats.ttest_rel([after[i] for i in in_finnish], [before[i] for i in in_finnish])
    assert finnish["p"]["paired t-test"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert "untrained:baseline" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "untrained:" in output


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["evaluation.split=train"], "systems must have the same queries, got 2304 only in baseline"),
        (["evaluation.metrics=[MAP]"], "evaluation.metrics must be metrics of untrained:baseline (MRR@10), got MAP"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_encoded(
    untrained: Path, trained_encoder: Path, tmp_path: Path, more: list[str], problem: str
) -> None:
    given = (f"checkpoint={trained_encoder}", f"compare_to=[{untrained}]", *more)
    process = start(tmp_path / "run", *given, quick=QUICK_EVALUATION, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and problem in output, output
    assert not list(tmp_path.rglob("passages.npy"))


def test_a_run_of_another_tool_is_scored_as_its_own_evaluation_was(trained_encoder: Path, tmp_path: Path) -> None:
    """R@2kt reads the texts of passages; a run may be shorter than others, and lack queries."""
    metrics = "evaluation.metrics=[MRR@10,recall@10,R@2kt]"
    evaluate(tmp_path / "earlier", f"checkpoint={trained_encoder / 'checkpoints' / 'model'}", metrics)
    lines = (tmp_path / "earlier" / "runs" / "baseline.trec").read_text().splitlines(keepends=True)
    (tmp_path / "other.trec").write_text("".join(line for line in lines if not line.startswith("ar-1-4 ")))
    names = f"compare_to=['bm25={tmp_path / 'other.trec'}',{tmp_path / 'earlier'}]"
    output = evaluate(tmp_path / "run", f"checkpoint={trained_encoder}", metrics, names)
    means = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "bm25:run ranks nothing for 1 of 1,152 queries" in output
    for language in ("fi", "ko"):
        for metric in ("MRR@10", "recall@10", "R@2kt"):
            assert means["bm25:run"][metric][language] == pytest.approx(means["earlier:baseline"][metric][language], abs=1e-9)


def test_each_system_is_fused_with_a_run(trained_encoder: Path, tmp_path: Path) -> None:
    metrics = "evaluation.metrics=[MRR@10,recall@10]"
    evaluate(tmp_path / "earlier", f"checkpoint={trained_encoder / 'checkpoints' / 'model'}", metrics)
    run = tmp_path / "earlier" / "runs" / "baseline.trec"
    given = (f"checkpoint={trained_encoder}", metrics, f"compare_to=['other={run}']")
    output = evaluate(tmp_path / "run", *given, "hybrid=rrf")
    assert "baseline+other" in output
    both = [read_run(tmp_path / folder / "runs" / "baseline.trec") for folder in ("run", "earlier")]
    hybrid = read_run(tmp_path / "run" / "runs" / "baseline+other.trec")
    for query, scores in hybrid.items():
        ranks = [{passage: rank for rank, passage in enumerate(ranked[query], start=1)} for ranked in both]
        for passage, score in scores.items():
            wanted = sum(1 / (60 + of_run[passage]) for of_run in ranks if passage in of_run)
            assert score == pytest.approx(wanted, abs=1e-6)
    values = json.loads((tmp_path / "run" / "significance.json").read_text())["comparisons"]
    assert {each["system"] for each in values} == {"baseline+other", "other:run"}


@pytest.mark.parametrize(
    ("more", "says"),
    [(["hybrid=rrf"], "hybrid needs a run"), (["hybrid=weighted", "hybrid.weight=2"], "hybrid.weight must be from 0 to 1")],
)
def test_a_hybrid_without_a_run_or_with_a_wrong_weight_is_refused(
    more: list[str], says: str, trained_encoder: Path, tmp_path: Path
) -> None:
    process = start(tmp_path / "run", f"checkpoint={trained_encoder}", *more, quick=QUICK_EVALUATION, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and says in output, output


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("q1 Q0 1 1 2.5 x\n", "must rank passages for these queries, got other query ids: q1"),
        ("ar-1-4 Q0 nothing 1 2.5 x\n", "1 passage ids are not in the collection: nothing"),
        ("ar-1-4 Q0 1\n", "a line must have 6 fields, got 3"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(lines: str, says: str, trained_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "bm25.trec").write_text(lines)
    given = (f"checkpoint={trained_encoder}", f"compare_to=[{tmp_path / 'bm25.trec'}]")
    process = start(tmp_path / "run", *given, quick=QUICK_EVALUATION, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and says in output, output
