"""Tests of paired differences that have a formula. Strata are languages: the statistic is the mean of their means."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Array = NDArray[np.float64]


def stratified_mean(strata: Sequence[Array]) -> float:
    return float(np.mean([stratum.mean() for stratum in strata]))


def t_test_p(strata: Sequence[Array]) -> float | None:
    """Of the stratified mean being 0, two-sided: t = mean / standard error, where the variance of a sum is the sum of
    variances, with Satterthwaite's degrees of freedom. With one stratum it is the paired t-test; with two, Welch's test of the
    one against the negated other. 1 where nothing differs, None where variances are unknown or all 0."""
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
    """Cohen's d of paired differences: the stratified mean over the standard deviation, of several strata the root of
    their mean variance. 0 where nothing differs, None where variances are unknown or all 0."""
    if not any(stratum.any() for stratum in strata):
        return 0.0
    if any(len(stratum) < 2 for stratum in strata):
        return None
    variance = np.mean([_variance(stratum) for stratum in strata])
    return float(stratified_mean(strata) / np.sqrt(variance)) if variance else None


def holm(p: Sequence[float]) -> list[float]:
    """The i-th smallest of m, counted from 0, by m - i; none below the one before it, none above 1 (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate((len(p) - np.arange(len(p))) * np.asarray(p, dtype=np.float64)[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(scaled, 1)
    return [float(value) for value in corrected]


def _variance(differences: Array) -> float:
    """Equal differences may differ by rounding: their variance is 0."""
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return 0.0
    return float(differences.var(ddof=1))
