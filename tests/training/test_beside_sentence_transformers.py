"""An evaluation beside that of sentence-transformers, on the same folder."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.pipelines.test_evaluate import evaluate
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.text.prompts import passage_text


def assert_their_evaluator_agrees(run: Path, folder: Path) -> None:
    """On the sample, given passages of the precision that ours has on disk; it scores them by the inner product."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import dot_score

    sample = Sample()
    corpus = {p.passage_id: passage_text(p) for p in sample.passages(Problems())}
    judge = InformationRetrievalEvaluator(
        {q.query_id: q.text for q in sample.queries("dev", Problems())},
        corpus,
        {j.query_id: {j.passage_id} for j in sample.judgements("dev", Problems())},
        mrr_at_k=[10],
        ndcg_at_k=[10],
        precision_recall_at_k=[1, 10, 100],
        score_functions={"dot": dot_score},
    )
    model = SentenceTransformer(str(folder), device="cpu")
    passages_ND = model.encode_document(list(corpus.values()), convert_to_tensor=True).half().float()
    theirs = judge.compute_metrices(model, corpus_embeddings=passages_ND)["dot"]
    rows = pq.read_table(run / "per_query.parquet").to_pylist()
    for metric in ("recall@1", "recall@10", "recall@100", "MRR@10", "nDCG@10"):
        ours = [row["value"] for row in rows if (row["system"], row["metric"]) == ("baseline", metric)]
        measure, _, cutoff = metric.lower().partition("@")
        expected = theirs[f"{measure}@k"][int(cutoff)]
        assert sum(ours) / len(ours) == pytest.approx(expected, abs=1 / len(ours)), f"{metric}: but for a tie of float32"


def test_their_own_evaluator_finds_the_same(trained_encoder: Path, tmp_path: Path) -> None:
    evaluate(tmp_path, f"checkpoint={trained_encoder}")
    assert_their_evaluator_agrees(tmp_path, trained_encoder / "encoder")


def test_so_it_does_of_a_model_with_prompts_mean_pooling_and_unit_norms(trained_encoder: Path, tmp_path: Path) -> None:
    """A folder that sentence-transformers wrote, and that says all this itself."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    backbone = modules.Transformer(str(trained_encoder / "encoder"), max_seq_length=24)
    pooling = modules.Pooling(backbone.get_embedding_dimension(), "mean")
    prompts = {"query": "query: ", "document": "passage: "}
    model = SentenceTransformer(modules=[backbone, pooling, modules.Normalize()], prompts=prompts, device="cpu")
    model.save(str(tmp_path / "model"))
    evaluate(tmp_path / "run", f"checkpoint={tmp_path / 'model'}")
    assert_their_evaluator_agrees(tmp_path / "run", tmp_path / "model")
    assert not np.allclose(model.encode_query("Seoul"), model.encode("Seoul")), "the prompt changes the vector"
