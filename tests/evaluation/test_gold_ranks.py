import pytest
import torch

from xdr.evaluation.gold_ranks import figures, first_gold_ranks


def test_the_rank_is_that_of_the_best_placed_gold_passage() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    passages = torch.tensor([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0], [3.0, 1.0]])
    # scores 3 2 1 3 | 1 2 3 1 | 4 4 4 4
    assert first_gold_ranks(queries, passages, [[1], [0, 3], [2]], block=2) == [3, 3, 3]
    assert first_gold_ranks(queries, passages, [[3], [2], [0]]) == [2, 1, 1]


def test_figures_are_per_language_and_their_mean() -> None:
    found = figures([1, 4, 2], ["fi", "fi", "ko"], [1, 2])
    assert found["recall@1/fi"] == 0.5
    assert found["recall@1"] == 0.25
    assert found["recall@2/ko"] == 1.0
    assert found["MRR/fi"] == pytest.approx((1 + 1 / 4) / 2)
    assert found["MRR"] == pytest.approx((0.625 + 0.5) / 2)
