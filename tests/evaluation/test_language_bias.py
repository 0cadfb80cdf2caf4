import numpy as np
import pytest

from xdr.evaluation.language_bias import parallel_ranks, rank_spread


def test_the_spread_is_the_largest_rank_less_the_smallest() -> None:
    languages_of = {"x-de": "de", "x-en": "en", "x-fi": "fi"}
    ranks = parallel_ranks([["x-en", "a", "b", "x-fi", "c", "d", "x-de"]], [languages_of], ["de", "en", "fi"])
    assert ranks.tolist() == [[7, 1, 4]]
    assert rank_spread(ranks).tolist() == [6]


def test_of_several_passages_in_a_language_the_best_placed_counts() -> None:
    ranks = parallel_ranks([["b", "c", "a"]], [{"a": "en", "b": "en", "c": "fi"}], ["en", "fi"])
    assert ranks.tolist() == [[1, 2]]


def test_an_incomplete_ranking_or_a_single_language_has_no_value() -> None:
    nan, inf = np.nan, np.inf
    ranks = np.array([[1, 2, nan], [1, inf, 3], [5, nan, nan], [nan, nan, nan], [2, 9, 4]])
    assert rank_spread(ranks).tolist() == pytest.approx([1, nan, nan, nan, 7], nan_ok=True)


def test_no_queries_and_no_languages_have_no_values() -> None:
    assert rank_spread(np.empty((0, 3))).shape == (0,)
    assert np.isnan(rank_spread(parallel_ranks([["a"]], [{}], ["en"]))).all()
