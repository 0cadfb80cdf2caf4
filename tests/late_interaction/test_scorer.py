import numpy as np
import pytest
import torch

from tests.encoders.conftest import TEXTS
from tests.late_interaction.conftest import colbert
from xdr.late_interaction import scorer
from xdr.late_interaction.max_similarity import max_similarity
from xdr.late_interaction.scorer import LateInteraction
from xdr.retrieval.rankings import Rankings
from xdr.text.records import Passage

QUERIES = ["Where is Saimaa?", "Missä Saimaa sijaitsee?", "a"]
PASSAGES = [Passage(f"p{row}", "title", text) for row, text in enumerate(TEXTS)]


@pytest.fixture
def model(small_models, tmp_path, monkeypatch) -> LateInteraction:  # type: ignore[no-untyped-def]
    """With blocks of two passages."""
    monkeypatch.setattr(scorer, "BLOCK", 2)
    monkeypatch.setattr(scorer, "QUERIES_AT_ONCE", 2)
    monkeypatch.setattr(scorer, "TEXTS_AT_ONCE", 2)
    encoder, tokenizer = colbert(small_models["bert"]).build(tmp_path, 1)
    return LateInteraction(encoder.eval(), tokenizer)


def by_hand(model: LateInteraction) -> torch.Tensor:
    """The formula, one pair at a time, without padding."""
    scores = torch.empty(len(QUERIES), len(PASSAGES))
    for q, query in enumerate(QUERIES):
        for p, passage in enumerate(PASSAGES):
            products = model.encode_queries([query])[0] @ model.encode_passages([passage])[0].T
            scores[q, p] = products.max(1).values.sum()
    return scores


def ids(rows):  # type: ignore[no-untyped-def]
    return [PASSAGES[int(row)].passage_id for row in rows]


def test_pairs_search_and_reranking_agree_with_the_formula(model: LateInteraction) -> None:
    expected = by_hand(model)
    together = max_similarity(model.encode_queries(QUERIES), model.encode_passages(PASSAGES))
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)

    pairs = [(q, p) for p in range(len(PASSAGES)) for q in range(len(QUERIES))][::-1]
    scores = model.score([QUERIES[q] for q, _ in pairs], [PASSAGES[p] for _, p in pairs])
    assert scores == pytest.approx([expected[q, p].item() for q, p in pairs], abs=1e-5)
    assert model.score([], []) == []

    found = model.search(QUERIES, len(PASSAGES), 4, PASSAGES.__getitem__, ids)
    np.testing.assert_allclose(found.scores_QK, expected.sort(1, descending=True).values[:, :4], atol=1e-5)
    given = Rankings(np.zeros((3, 8), np.float32), np.arange(8)[None].repeat(3, 0))
    some = Rankings(np.zeros((3, 3), np.float32), np.array([[7, 0, 3], [1, 2, 5], [6, 0, 4]]))
    reranked = model.rerank(QUERIES, {"all": given, "some": some}, PASSAGES.__getitem__, ids)
    np.testing.assert_array_equal(reranked["all"].rows_QK[:, :4], found.rows_QK)
    for q in range(3):
        best_first = sorted(some.rows_QK[q], key=lambda row: -expected[q, row].item())
        assert reranked["some"].rows_QK[q].tolist() == best_first
