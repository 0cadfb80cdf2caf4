"""Power by simulation: the smallest difference that paired values could have shown.

Data sets are drawn from the differences of the queries, less their mean: the same spread, and no difference on average. A shift
is added to every query of a data set, and the sign-flip test of `significance.py` looks for a difference. The smallest
difference is the shift that it finds in four of five data sets. For normal values this is 2.8 standard errors.

U units (queries, or clusters of them), M sign flips, B data sets.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xdr.comparison.clusters import Units, summed_by_cluster

Array = NDArray[np.float64]

POWER, LEVEL = 0.8, 0.05
NUM_FLIPS, NUM_DATA_SETS, NUM_STEPS = 999, 500, 12


def smallest_difference(
    strata: Sequence[Array], generator: np.random.Generator, units: Sequence[Units] | None = None, level: float = LEVEL
) -> float | None:
    """Returns the difference of the mean over languages that the test finds at `level` (two-sided) with a probability of .8.
    `strata` are the differences of each language, `units` the clusters of their queries. None if no query differs, or if there
    is one unit."""
    data_sets = _DataSets(strata, units, generator)
    if not data_sets.spread > 0:
        return None
    low, high = 0.0, 2 * data_sets.spread
    while data_sets.share_found(high, level) < POWER:
        low, high = high, 2 * high
        if high > 1000 * data_sets.spread:
            return None  # so few units that no pattern of signs is rare enough
    for _ in range(NUM_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if data_sets.share_found(middle, level) >= POWER else (middle, high)
    return high


def share_found(
    strata: Sequence[Array], shift: float, generator: np.random.Generator, units: Sequence[Units] | None = None
) -> float:
    """Returns the share of data sets with this true difference in which the test finds one. Without a difference it is the rate
    of false alarms."""
    return _DataSets(strata, units, generator).share_found(shift, LEVEL)


class _DataSets:
    """Data sets without a difference, and their means after sign flips."""

    def __init__(self, strata: Sequence[Array], units: Sequence[Units] | None, generator: np.random.Generator) -> None:
        weights = [np.full(len(stratum), 1 / (len(stratum) * len(strata))) for stratum in strata]
        centred = [weight * (stratum - stratum.mean()) for weight, stratum in zip(weights, strata, strict=True)]
        if units is not None:
            together = np.concatenate(units)
            centred, weights = ([summed_by_cluster(np.concatenate(of), together)] for of in (centred, weights))
        self.spread = float(np.sqrt(sum((part**2).sum() for part in centred)))  # the standard error of the mean
        drawn = [generator.integers(0, len(part), (len(part), NUM_DATA_SETS)) for part in centred]
        values_UB = np.concatenate([part[rows] for part, rows in zip(centred, drawn, strict=True)])
        weights_UB = np.concatenate([part[rows] for part, rows in zip(weights, drawn, strict=True)])
        signs_MU = 2.0 * generator.integers(0, 2, (NUM_FLIPS, len(values_UB)), dtype=np.int8) - 1
        self._mean_B, self._weight_B = values_UB.sum(0), weights_UB.sum(0)
        self._flipped_MB, self._flipped_weight_MB = signs_MU @ values_UB, signs_MU @ weights_UB

    def share_found(self, shift: float, level: float) -> float:
        """Flips are linear, so a shift needs no new product."""
        observed_B = np.abs(self._mean_B + shift * self._weight_B)
        flipped_MB = np.abs(self._flipped_MB + shift * self._flipped_weight_MB)
        p_B = ((flipped_MB >= observed_B * (1 - 1e-12)).sum(0) + 1) / (NUM_FLIPS + 1)
        return float((p_B <= level).mean())
