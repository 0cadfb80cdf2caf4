"""Runs as files give in pytrec_eval, ir_measures and ranx the values that we found in memory. pyserini reads ours, too."""

from collections.abc import Mapping
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from xdr.evaluation.metric_names import parse_metric
from xdr.evaluation.ranking_metrics import metric_values, relevant_ranks
from xdr.retrieval.rankings import top_k, write_run
from xdr.retrieval.trec_runs import read_run

NAMES = ("recall@10", "success@10", "MRR@30", "nDCG@10", "MAP")
Qrels = dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Qrels, Mapping[str, float]]:
    """100 queries whose every second score is tied, with four judgements of 0 to 3 each, one of them never retrieved."""
    rng = np.random.default_rng(0)
    ids = [f"p{number}" for number in rng.permutation(300)]
    scores_QC = np.repeat(rng.standard_normal((100, 20)).astype(np.float32), 2, axis=1)
    rows_QC = np.stack([rng.choice(300, 40, replace=False) for _ in range(100)])
    found = top_k(scores_QC, rows_QC, 30, lambda rows: [ids[row] for row in rows])
    query_ids = [f"q{number}" for number in range(100)]
    path = tmp_path_factory.mktemp("run") / "baseline.trec"
    write_run(path, query_ids, found, lambda rows: [ids[row] for row in rows], "baseline")
    qrels = {
        query_id: {**{ids[row]: int(rng.integers(0, 4)) for row in rng.choice(rows, 3, replace=False)}, "elsewhere": 1}
        for query_id, rows in zip(query_ids, rows_QC, strict=True)
    }
    ranked = relevant_ranks([[ids[row] for row in rows] for rows in found.rows_QK], list(qrels.values()))
    return path, qrels, {name: float(metric_values(parse_metric(name), ranked).mean()) for name in NAMES}


def test_pytrec_eval_finds_our_values(run: tuple[Path, Qrels, Mapping[str, float]]) -> None:
    path, qrels, ours = run
    measures = ("recall.10", "success.10", "recip_rank", "ndcg_cut.10", "map")
    with path.open() as file:
        by_query = pytrec_eval.RelevanceEvaluator(qrels, set(measures)).evaluate(pytrec_eval.parse_run(file))
    for name, measure in zip(NAMES, measures, strict=True):
        theirs = np.mean([values[measure.replace(".", "_")] for values in by_query.values()])
        assert theirs == pytest.approx(ours[name], abs=1e-12), name


def test_ir_measures_finds_our_values(run: tuple[Path, Qrels, Mapping[str, float]]) -> None:
    path, qrels, ours = run
    measures = [ir_measures.parse_measure(name) for name in ("R@10", "Success@10", "RR", "nDCG@10", "AP")]
    theirs = ir_measures.calc_aggregate(measures, qrels, list(ir_measures.read_trec_run(str(path))))
    for name, measure in zip(NAMES, measures, strict=True):
        assert theirs[measure] == pytest.approx(ours[name], abs=1e-12), name


@pytest.mark.slow  # it compiles itself when imported
def test_ranx_finds_our_values(run: tuple[Path, Qrels, Mapping[str, float]]) -> None:
    ranx = pytest.importorskip("ranx", reason="ranx brings numba, and is no dependency of the tests")
    path, qrels, ours = run
    judged = {query_id: {passage: value for passage, value in its.items() if value > 0} for query_id, its in qrels.items()}
    names = ["recall@10", "hit_rate@10", "mrr", "ndcg@10", "map"]
    theirs = ranx.evaluate(ranx.Qrels(judged), ranx.Run.from_file(str(path), kind="trec"), names)
    for name, measure in zip(NAMES, names, strict=True):
        assert theirs[measure] == pytest.approx(ours[name], abs=1e-9), name


def test_pyserini_reads_a_run_and_what_it_writes_is_read(run: tuple[Path, Qrels, Mapping[str, float]], tmp_path: Path) -> None:
    trectools = pytest.importorskip("pyserini.trectools", reason="pyserini needs Java, and is no dependency of the tests")
    path, _, _ = run
    ours = read_run(path)
    theirs = trectools.TrecRun(str(path))
    assert theirs.topics() == set(ours)
    for query_id, ranked in ours.items():
        found = theirs.get_docs_by_topic(query_id)
        assert dict(zip(found["docid"], found["score"], strict=True)) == ranked and found["docid"].tolist() == list(ranked)
    theirs.save_to_txt(str(tmp_path / "theirs.trec"))
    assert read_run(tmp_path / "theirs.trec") == ours
