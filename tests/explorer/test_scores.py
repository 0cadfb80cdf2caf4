"""Scores of the page: those of plain numpy over all passages, and those of the evaluation's own runs."""

from pathlib import Path

import numpy as np
import pytest

from xdr.explorer.finished import Finished
from xdr.explorer.query_vectors import QueryVectors
from xdr.explorer.scores import Scores, best_rows, ranks
from xdr.retrieval.trec_runs import read_run
from xdr.vectors.embedding_writer import create_embeddings, writing_shard
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.fusion import FUSIONS
from xdr.vectors.layout import Layout, Selection


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    norms_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.where(norms_N1 > 0, norms_N1, 1))


def fused_by_numpy(name: str, p_ND: np.ndarray, s_ND: np.ndarray, c_N1: np.ndarray, a: float) -> np.ndarray:
    """All passages have questions here."""
    formulas = {
        "sum": lambda: (1 - a) * p_ND + a * s_ND,
        "mean": lambda: (1 - a) * p_ND + a * s_ND / c_N1,
        "unit_mean": lambda: unit((1 - a) * unit(p_ND) + a * unit(s_ND)),
        "unit_of_mean": lambda: unit((1 - a) * unit(p_ND) + a * s_ND / c_N1),
        "hyde_mean": lambda: (p_ND + s_ND) / (c_N1 + 1),
    }
    return np.asarray(formulas[name]())


@pytest.mark.parametrize("name", list(FUSIONS))
@pytest.mark.parametrize("alpha", [0.0, 0.37, 1.0])
def test_scores_at_any_alpha_are_those_of_the_formula_over_all_passages(
    name: str, alpha: float, finished: Finished, vectors: QueryVectors
) -> None:
    stored, texts = finished.scores.embeddings, finished.scores.texts
    assert texts is not None
    blocks = list(stored.blocks(50))
    p_ND = np.concatenate([block.passages() for block in blocks]).astype(np.float64)
    s_ND, counts_N = (np.concatenate(parts) for parts in zip(*(texts.read(block) for block in blocks), strict=True))
    assert len(blocks) > 2 and counts_N.min() > 0
    query_D = vectors.of([finished.qrels.queries[5].text])[0]
    scores = Scores(stored, FUSIONS[name], texts)
    products = scores.products(query_D)
    expected_N = fused_by_numpy(name, p_ND, s_ND.astype(np.float64), counts_N[:, None], alpha) @ query_D.astype(np.float64)
    np.testing.assert_allclose(
        scores.fused(products, alpha if FUSIONS[name].takes_alpha else None), expected_N, rtol=2e-6, atol=1e-7
    )
    np.testing.assert_allclose(scores.baseline(products), p_ND @ query_D.astype(np.float64), rtol=2e-6, atol=1e-7)


def test_at_the_alphas_of_the_evaluation_rankings_and_scores_are_those_of_its_runs(
    finished: Finished, vectors: QueryVectors
) -> None:
    scores, compared = finished.scores, 0
    for system, alpha in {"baseline": None, **finished.alphas}.items():
        run = read_run(finished.folder / "runs" / f"{system}.trec")
        for query in finished.qrels.queries[::29]:
            products = scores.products(vectors.of([query.text])[0])
            scores_N = scores.baseline(products) if system == "baseline" else scores.fused(products, alpha)
            rows = best_rows(scores.embeddings, scores_N, 144)
            assert scores.embeddings.ids(np.array(rows)) == list(run[query.query_id])
            assert scores_N[rows].tolist() == pytest.approx(list(run[query.query_id].values()), rel=1e-6)
            assert ranks(scores.embeddings, scores_N, rows) == list(range(1, 145))
            compared += 1
    assert compared >= 3 * 40


@pytest.fixture
def three(tmp_path: Path) -> EmbeddingStore:
    """p and s of three passages. The second's cancel at alpha = 1/2, and the third has no question."""
    ledger = create_embeddings(tmp_path / "vectors", 1, Layout(2, "total", ("fi",)), {"encoder": "typed"})
    with writing_shard(ledger, 0, ["b", "c", "a"]) as writer:
        p_ND, s_ND = np.array([[2.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 3.0], [-4.0, 0.0], [0.0, 0.0]])
        writer.put(slice(0, 3), p_ND, s_ND[None], np.array([[2, 1, 0]]))
    return EmbeddingStore.open(ledger.folder)


def test_unit_mean_by_hand_also_where_the_ends_cancel(three: EmbeddingStore) -> None:
    """unit(p) = (1, 0) and unit(s) = (0, 1): their unit mean is (.7071, .7071). (1, 0) and (-1, 0) have the zero vector."""
    scores = Scores(three, FUSIONS["unit_mean"], Selection((0,)))
    products = scores.products(np.array([3.0, 1.0], np.float32))
    assert scores.fused(products, 0.5).tolist() == pytest.approx([4 / np.sqrt(2), 0.0, 3.0])
    assert scores.fused(products, 0.25).tolist() == pytest.approx([10 / np.sqrt(10), 3.0, 3.0])
    assert scores.fused(products, 0.5000001).tolist() == pytest.approx([4 / np.sqrt(2), -3.0, 3.0])


def test_equal_scores_are_ranked_by_passage_id(three: EmbeddingStore) -> None:
    scores = Scores(three, None, None)
    baseline_N = scores.baseline(scores.products(np.array([1.0, 0.0], np.float32)))
    assert baseline_N.tolist() == [2.0, 1.0, 2.0]
    assert best_rows(three, baseline_N, 2) == [2, 0]
    assert ranks(three, baseline_N, [0, 1, 2]) == [2, 3, 1]
