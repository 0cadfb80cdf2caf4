"""The smallest difference that values could have shown."""

import numpy as np
import pytest
from scipy.stats import norm

from xdr.studies.power import share_found, smallest_difference

CLOSED_FORM = norm.ppf(0.975) + norm.ppf(0.8)
"""2.8 standard errors."""


def normal(n: int, seed: int = 0, spread: float = 0.3) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1, n)
    return spread * (values - values.mean()) / values.std()


def test_for_normal_differences_it_is_2_8_standard_errors() -> None:
    found = smallest_difference([normal(150)], np.random.default_rng(1))
    assert found == pytest.approx(CLOSED_FORM * 0.3 / 150**0.5, rel=0.06)


def test_a_mean_over_languages_has_their_standard_error() -> None:
    found = smallest_difference([normal(100), normal(200, 1, 0.1)], np.random.default_rng(1))
    assert found == pytest.approx(CLOSED_FORM * ((0.3**2 / 100 + 0.1**2 / 200) / 4) ** 0.5, rel=0.06)


def test_the_same_question_in_two_languages_tells_no_more_than_in_one() -> None:
    units = np.arange(150)
    found = smallest_difference([normal(150), normal(150)], np.random.default_rng(1), [units, units])
    assert found == pytest.approx(CLOSED_FORM * 0.3 / 150**0.5, rel=0.06)


def test_the_mean_difference_itself_does_not_matter() -> None:
    found, moved = (smallest_difference([normal(30) + mean], np.random.default_rng(1)) for mean in (0, 5))
    assert found == pytest.approx(moved)


def test_the_test_raises_a_false_alarm_in_five_per_cent() -> None:
    alarms = np.mean([share_found([normal(80, seed)], 0, np.random.default_rng(seed)) for seed in range(4)])
    assert alarms == pytest.approx(0.05, abs=0.02)


def test_without_any_difference_or_with_few_queries_there_is_no_answer() -> None:
    assert smallest_difference([np.zeros(20)], np.random.default_rng(1)) is None
    assert smallest_difference([np.array([0.1, -0.1, 0.3])], np.random.default_rng(1)) is None
