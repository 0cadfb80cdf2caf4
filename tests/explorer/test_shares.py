"""What a passage and its questions add to a score, by hand."""

import numpy as np
import pytest
import torch

from xdr.explorer.shares import Shares, shares
from xdr.vectors.fusion import FUSIONS, Fusion

QUERY = np.array([1.0, 2.0])
PASSAGE = np.array([3.0, 4.0])
QUESTIONS = np.array([[0.0, 1.0], [2.0, 1.0]])


def of(name: str, alpha: float | None, questions_TD: np.ndarray = QUESTIONS) -> Shares:
    found = shares(FUSIONS[name], alpha, QUERY, PASSAGE, questions_TD.sum(axis=0), questions_TD)
    assert found is not None
    return found


def assert_shares(found: Shares, passage: float, questions: list[float]) -> None:
    assert found.passage == pytest.approx(passage)
    assert found.questions == pytest.approx(questions)
    assert found.rounding == pytest.approx(0, abs=1e-12)


def test_sum_and_mean() -> None:
    """q.p = 11, q.g = 2 and 4."""
    assert_shares(of("sum", 0.1), 9.9, [0.2, 0.4])
    assert_shares(of("mean", 0.5), 5.5, [0.5, 1.0])
    assert_shares(of("hyde_mean", None), 11 / 3, [2 / 3, 4 / 3])


def test_unit_mean() -> None:
    """unit(p) = (.6, .8) and unit(s) = (.7071, .7071): half their sum has the norm .99749."""
    norm = np.hypot(0.3 + np.sqrt(0.125), 0.4 + np.sqrt(0.125))
    of_text = 0.5 / np.sqrt(8) / norm
    assert_shares(of("unit_mean", 0.5), 1.1 / norm, [2 * of_text, 4 * of_text])


@pytest.mark.parametrize("name", list(FUSIONS))
def test_a_passage_without_questions_has_the_whole_score(name: str) -> None:
    found = of(name, 0.25 if FUSIONS[name].takes_alpha else None, np.zeros((0, 2)))
    whole = {"sum": 8.25, "mean": 11, "unit_mean": 2.2, "unit_of_mean": 2.2, "hyde_mean": 11}[name]
    assert_shares(found, whole, [])


def test_what_the_stored_sum_has_lost_is_told_apart() -> None:
    found = shares(FUSIONS["sum"], 0.5, QUERY, PASSAGE, np.array([2.0, 2.25]), QUESTIONS)
    assert found is not None
    assert found.questions == pytest.approx([1.0, 2.0])
    assert found.rounding == pytest.approx(0.25), "half of 2 * .25"


def test_a_formula_that_is_no_weighted_sum_has_no_shares() -> None:
    largest = Fusion("largest", lambda p_ND, s_ND, c_N: (p_ND, torch.maximum(p_ND, 3 * s_ND.flip(1) ** 2)))
    assert shares(largest, 0.5, np.ones(3), np.ones(3), np.array([1.0, 2.0, 0.0]), np.array([[1.0, 2.0, 0.0]])) is None
