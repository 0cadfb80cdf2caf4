import pytest
import torch

from xdr.evaluation.pool_ranks import pool_metrics, relevant_ranks_in_pool


def test_ranks_are_those_of_all_relevant_passages_with_ties_broken_by_row() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    passages = torch.tensor([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0], [3.0, 1.0]])
    # scores 3 2 1 3 | 1 2 3 1 | 4 4 4 4
    ranked = relevant_ranks_in_pool(queries, passages, [[1], [0, 3], [2]], block=2)
    assert ranked.ranks_QG.tolist() == [[3, float("inf")], [3, 4], [3, float("inf")]]
    assert relevant_ranks_in_pool(queries, passages, [[3], [2], [0]]).ranks_QG.tolist() == [[2], [1], [1]]


def test_recall_is_the_share_of_the_relevant_passages_by_language_and_as_their_mean() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    passages = torch.tensor([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]])  # scores 3 2 1 | 1 2 3
    metrics = pool_metrics(relevant_ranks_in_pool(queries, passages, [[0, 2], [1]]), ["fi", "ko"], [1, 2])
    assert metrics["recall@1/fi"] == 0.5, "one of two; a hit rate would be 1"
    assert metrics["recall@2/ko"] == 1.0
    assert metrics["recall@1"] == 0.25
    assert (metrics["MRR/fi"], metrics["MRR/ko"]) == (1.0, 0.5)
    assert metrics["MRR"] == pytest.approx(0.75)
