"""Tests of paired differences in closed form. Strata are languages; the statistic is the mean of their means."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Array = NDArray[np.float64]


def stratified_mean(strata: Sequence[Array]) -> float:
    return float(np.mean([stratum.mean() for stratum in strata]))


def t_test_p(strata: Sequence[Array]) -> float | None:
    """The two-sided p of the stratified mean under the hypothesis that it is 0.

    t is the mean over its standard error, with Satterthwaite's degrees of freedom. With one stratum, this is the paired t-test;
    with two, Welch's test of one against the negated other. 1 if nothing differs, None if a variance is unknown or all are 0.
    """
    if not any(stratum.any() for stratum in strata):
        return 1.0
    if any(len(stratum) < 2 for stratum in strata):
        return None
    parts = np.array([_variance(stratum) / len(stratum) for stratum in strata])
    if not parts.any():
        return None
    t = sum(float(stratum.mean()) for stratum in strata) / np.sqrt(parts.sum())
    freedom = parts.sum() ** 2 / (parts**2 / [len(stratum) - 1 for stratum in strata]).sum()
    return float(2 * stdtr(freedom, -abs(t)))


def effect_size(strata: Sequence[Array]) -> float | None:
    """Cohen's d of paired differences: the stratified mean over the standard deviation (the root of the mean variance of the
    strata). 0 if nothing differs, None if a variance is unknown or all are 0."""
    if not any(stratum.any() for stratum in strata):
        return 0.0
    if any(len(stratum) < 2 for stratum in strata):
        return None
    variance = np.mean([_variance(stratum) for stratum in strata])
    return float(stratified_mean(strata) / np.sqrt(variance)) if variance else None


def holm(p: Sequence[float]) -> list[float]:
    """Corrected p-values (Holm 1979): the i-th smallest of m, from 0, times m - i, at least the one before it, at most 1."""
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate((len(p) - np.arange(len(p))) * np.asarray(p, dtype=np.float64)[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(scaled, 1)
    return [float(value) for value in corrected]


def _variance(differences: Array) -> float:
    """0 if the differences are equal up to rounding."""
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return 0.0
    return float(differences.var(ddof=1))
