"""The names that `xdr` exports, used as a notebook uses them."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
import scipy.stats
import torch

import xdr
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.models import SmallBiEncoder
from xdr.errors import UserError
from xdr.vectors.fusion import Fusion

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
QUERIES, PASSAGES = RNG.standard_normal((40, 8)), RNG.standard_normal((200, 8))
RUN = xdr.search(QUERIES, PASSAGES, k=30)
QRELS = {query: {str(row): int(RNG.integers(1, 4)) for row in RNG.choice(200, 9, replace=False)} for query in RUN}


def test_importing_xdr_is_cheap_and_errors_need_nothing() -> None:
    code = "import sys, xdr, xdr.errors; assert not {'torch', 'numpy', 'pyarrow'} & set(sys.modules); assert xdr.__version__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_exported_name_is_there_and_others_are_not() -> None:
    assert all(callable(getattr(xdr, name)) for name in xdr.__all__)
    assert not hasattr(xdr, "find")


@pytest.mark.parametrize("module", ["xdr.retrieval.trec_runs", "xdr.retrieval.in_memory", "xdr.comparison.runs"])
def test_the_examples_of_docstrings_are_right(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(module))
    assert result.attempted and not result.failed


def test_the_readme_opens_with_a_block_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    settings = SmallBiEncoder("bert", 32, 1, 0.0, "mean", True, 32, 64, "", "")
    bi_encoder, tokenizer = settings.build(tmp_path / "initial", seed=1)
    save_encoder(bi_encoder.encoder, tokenizer, tmp_path / "outputs" / "demo" / "train" / "encoder")
    monkeypatch.chdir(tmp_path)
    exec(shown[1], {})
    output = capsys.readouterr().out
    assert re.fullmatch(r"\{'MRR@10': .*\}\n-?\d\.\d+ \(.*\) \{'paired t-test': .*\}\n", output)
    assert sorted(xdr.read_run("fused.trec")) == ["q1", "q2"]


def test_search_ranks_by_inner_product_and_takes_arrays_of_both_libraries() -> None:
    scores_QP = QUERIES.astype(np.float32).astype(np.float64) @ PASSAGES.astype(np.float32).astype(np.float64).T
    for query, ranking in enumerate(RUN.values()):
        expected = np.argsort(-scores_QP[query])[:30]
        assert list(ranking) == [str(row) for row in expected]
        assert list(ranking.values()) == [float(np.float32(score)) for score in scores_QP[query][expected]]
    assert xdr.search(torch.from_numpy(QUERIES), torch.from_numpy(PASSAGES).float(), 30) == RUN


def test_ties_are_ordered_by_passage_id() -> None:
    run = xdr.search(np.ones((1, 2)), np.ones((3, 2)), 2, query_ids=["q"], passage_ids=["c", "a", "b"])
    assert run == {"q": {"a": 2.0, "b": 2.0}} and list(run["q"]) == ["a", "b"]


def test_fusion_takes_any_number_of_generated_texts_and_a_formula_of_ones_own() -> None:
    passages = np.array([[3.0, 4.0], [3.0, 4.0]])
    generated = [torch.tensor([[0.0, 4.0], [0.0, 6.0]]), np.zeros((0, 2))]
    assert xdr.fuse(passages, generated, "sum", 0.1).tolist() == pytest.approx(np.array([[2.7, 4.6], [2.7, 3.6]]))
    assert xdr.fuse(passages, generated, "mean", 0.5).tolist() == [[1.5, 4.5], [3, 4]]
    assert xdr.fuse(passages, generated, "hyde_mean", None).tolist() == pytest.approx(np.array([[1, 14 / 3], [3, 4]]))
    doubled = Fusion("doubled", lambda vectors, sums, counts: (vectors, 2 * sums))
    assert xdr.fuse(passages, generated, doubled, 0.5).tolist() == [[1.5, 12], [1.5, 2]]


def test_evaluate_equals_pytrec_eval() -> None:
    """Without ties, whose order differs between tools. A query that the run lacks scores 0, as with trec_eval -c."""
    qrels = {**QRELS, "absent": {"1": 1}}
    scores = xdr.evaluate(RUN, qrels, ["recall@10", "success@5", "MRR@30", "nDCG@10", "MAP"])
    names = ("recall_10", "success_5", "recip_rank", "ndcg_cut_10", "map")
    measures = {"recall.10", "success.5", "recip_rank", "ndcg_cut.10", "map"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(RUN)
    for metric, name in zip(scores.values, names, strict=True):
        theirs = [expected[query][name] if query in expected else 0.0 for query in qrels]
        np.testing.assert_allclose(scores.values[metric], theirs, atol=1e-12)
        assert scores.macro[metric] == pytest.approx(np.mean(theirs))


def test_with_languages_the_macro_mean_is_over_languages() -> None:
    run, qrels = {"q1": {"a": 1.0}, "q2": {"a": 1.0}, "q3": {"b": 1.0}}, {query: {"a": 1} for query in ("q1", "q2", "q3")}
    scores = xdr.evaluate(run, qrels, "success@1", {"q1": "fi", "q2": "fi", "q3": "te"})
    assert scores.macro == {"success@1": 0.5}
    assert xdr.evaluate(run, qrels, "success@1").macro == {"success@1": pytest.approx(2 / 3)}


def test_compare_equals_scipys_paired_t_test() -> None:
    other = xdr.search(QUERIES + 0.3 * RNG.standard_normal(QUERIES.shape), PASSAGES, k=30)
    (comparison,) = xdr.compare(RUN, other, QRELS, "nDCG@10")
    before, after = (xdr.evaluate(run, QRELS, "nDCG@10").values["nDCG@10"] for run in (RUN, other))
    assert comparison.p["paired t-test"] == pytest.approx(scipy.stats.ttest_rel(after, before).pvalue)
    assert comparison.mean_difference == pytest.approx((after - before).mean())
    languages = {query: "fi" if int(query) % 2 else "te" for query in RUN}
    compared = xdr.compare(RUN, other, QRELS, ["MAP", "recall@5"], languages)
    assert [(c.metric, c.language) for c in compared] == [
        (metric, language) for metric in ("MAP", "recall@5") for language in ("fi", "te", "macro")
    ]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: xdr.search(QUERIES, PASSAGES, 201), "k must be from 1 to 200"),
        (
            lambda: xdr.search(QUERIES[0], PASSAGES, 5),
            r"queries must be an array of shape \(number, dimensions\), got shape \(8,\)",
        ),
        (lambda: xdr.search(QUERIES, PASSAGES, 5, passage_ids=["a"] * 200), "passage_ids must be 200 different ids"),
        (lambda: xdr.fuse(PASSAGES, [PASSAGES]), "generated must have one array for each of the 200 passages, got 1"),
        (
            lambda: xdr.fuse(PASSAGES, PASSAGES[:, None], "sums"),
            "fusion must be one of sum, mean, unit_mean, unit_of_mean, hyde_mean, got 'sums'",
        ),
        (lambda: xdr.fuse(PASSAGES, PASSAGES[:, None], "mean", 1.5), "alpha must be from 0 to 1, got 1.5"),
        (lambda: xdr.evaluate(RUN, QRELS, "R@2kt"), "metrics must need only a run and qrels, got R@2kt"),
        (lambda: xdr.evaluate(RUN, {}, "MAP"), "qrels must have at least one query"),
        (lambda: xdr.evaluate(RUN, QRELS, "MAP", {"0": "fi"}), "languages must have every query of the qrels, got none for 1"),
    ],
)
def test_a_call_that_cannot_work_says_which_parameter_is_wrong(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(UserError, match=says):
        call()
