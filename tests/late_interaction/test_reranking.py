"""An evaluation that ranks again, as a user starts it."""

import json
from pathlib import Path

import pytest

from tests.late_interaction.conftest import colbert
from tests.pipelines.test_evaluate import evaluate
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.late_interaction.reranking import Reranking
from xdr.late_interaction.scorer import load_late_interaction
from xdr.late_interaction.token_encoder_folder import save_token_encoder
from xdr.retrieval.trec_runs import read_run


def test_an_evaluation_ranks_again_or_ranks_everything_and_tests_both(trained_encoder: Path, tmp_path: Path) -> None:
    encoder, tokenizer = colbert(trained_encoder / "encoder").build(tmp_path, 1)
    save_token_encoder(encoder, tokenizer, tmp_path / "colbert")
    settings = (f"checkpoint={trained_encoder}", f"evaluation.rerank={tmp_path / 'colbert'}", f"artifacts_dir={tmp_path / 'a'}")
    evaluate(tmp_path / "some", *settings, "search.depth=10")
    evaluate(tmp_path / "all", *settings, "search.depth=10", "evaluation.rerank_all=true")

    sample, model = Sample(), load_late_interaction(str(tmp_path / "colbert"))
    passages = {passage.passage_id: passage for passage in sample.passages(Problems())}
    query = next(iter(sample.queries("dev", Problems())))
    baseline, reranked = (
        read_run(tmp_path / "some" / "runs" / f"{name}.trec")[query.query_id] for name in ("baseline", "reranked")
    )
    everything = read_run(tmp_path / "all" / "runs" / "late_interaction.trec")[query.query_id]
    scores = dict(zip(passages, model.score([query.text] * len(passages), list(passages.values())), strict=True))
    best_first = sorted(scores, key=lambda passage_id: -scores[passage_id])
    assert list(everything) == best_first[:10]
    assert list(reranked) == [passage_id for passage_id in best_first if passage_id in baseline]
    assert reranked == pytest.approx({passage_id: scores[passage_id] for passage_id in baseline}, abs=1e-4)
    for folder, system in (("some", "reranked"), ("all", "late_interaction")):
        comparisons = json.loads((tmp_path / folder / "significance.json").read_text())["comparisons"]
        assert {"baseline", system} == {name for row in comparisons for name in (row["baseline"], row["system"])}


def test_fused_systems_are_reranked_beside_the_baseline() -> None:
    reranking = Reranking(None, "", all_passages=False)  # type: ignore[arg-type]  # names need no model
    roles = {"baseline": "baseline", "mean-a0.3": "augmented", "mean-a0.3-mean_text": "control"}
    assert reranking.systems(roles) == ["reranked", "mean-a0.3+reranked"]
    assert Reranking(None, "", all_passages=True).systems(roles) == ["late_interaction"]  # type: ignore[arg-type]


def test_to_rank_everything_needs_an_encoder_that_ranks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="evaluation.rerank_all must be false without evaluation.rerank"):
        Reranking.by(None, True)
    assert Reranking.by(None, False) is None
    with pytest.raises(UserError, match="evaluation.rerank: a late-interaction encoder must be"):
        Reranking.by(str(tmp_path), False)
