import numpy as np
import pytest

from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery, means

SYSTEM = PerQuery(
    ("q1", "q2", "q3", "q4", "q5"),
    ("ko", "fi", "fi", "fi", "te"),
    {"R@2kt": np.array([1, 1, 0, np.nan, np.nan]), "MAP": np.full(5, np.nan)},
)


def test_macro_is_over_languages_and_micro_over_queries() -> None:
    found = means(SYSTEM, "R@2kt")
    assert found.by_language == {"fi": 0.5, "ko": 1}
    assert found.num_by_language == {"fi": 2, "ko": 1}
    assert found.macro == 0.75
    assert found.micro == pytest.approx(2 / 3)
    assert found.as_json() == {"fi": 0.5, "ko": 1, "macro": 0.75}


def test_queries_without_a_value_are_left_out_and_counted() -> None:
    found = means(SYSTEM, "R@2kt")
    assert (found.num_queries, found.left_out) == (3, 2)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="MAP has no value for any of the 5 queries"):
        means(SYSTEM, "MAP")
    with pytest.raises(UserError, match="got R@5kt; did you mean 'R@2kt'"):
        means(SYSTEM, "R@5kt")
