"""Resampling of paired differences: bootstrap means, and means under the hypothesis of no difference.

Means are computed by language, so that a statistic over languages uses the samples of its languages. All systems share the
samples, which costs as much as the samples of one.

N queries of one language, S systems, M samples.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_VALUES_AT_ONCE = 2_000_000


def flipped_means(differences_NS: Array, num_samples: int, generator: np.random.Generator) -> Array:
    """(M, S): means after random sign flips of the queries' differences. Without a true difference, all are equally likely."""
    moved_N = (differences_NS != 0).any(1)  # signs of zeros do not matter
    means_MS = np.zeros((num_samples, differences_NS.shape[1]))
    for part in _parts(num_samples, len(moved_N)):
        coins_MN = generator.integers(0, 2, (part.stop - part.start, len(moved_N)), dtype=np.int8)
        means_MS[part] = (2.0 * coins_MN[:, moved_N] - 1) @ differences_NS[moved_N]
    means_MS /= len(differences_NS)
    return means_MS


def resampled_means(differences_NS: Array, num_samples: int, generator: np.random.Generator) -> Array:
    """(M, S): means over N queries that are drawn with replacement."""
    num_queries, num_systems = differences_NS.shape
    means_MS = np.empty((num_samples, num_systems))
    for part in _parts(num_samples, num_queries):
        num_here = part.stop - part.start
        drawn_MN = generator.integers(0, num_queries, (num_here, num_queries)) + num_queries * np.arange(num_here)[:, None]
        times_MN = np.bincount(drawn_MN.ravel(), minlength=num_here * num_queries).reshape(num_here, num_queries)
        means_MS[part] = times_MN.astype(np.float64) @ differences_NS
    means_MS /= num_queries
    return means_MS


def sign_flip_p(weighted: Array, flipped_M: Array) -> float:
    """The two-sided p of the sum of `weighted`: each query's difference times its weight in the statistic.

    It is the share of sign patterns whose statistic is at least as far from 0. If there are at most as many patterns as samples
    `flipped_M`, all patterns are tried; otherwise p = (b + 1) / (m + 1), since the observed pattern is possible too. If nothing
    differs, p is 1.
    """
    moved = weighted[weighted != 0]
    least = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()  # equal sums differ by rounding
    if 2 ** len(moved) <= len(flipped_M):
        return float((np.abs(all_sign_sums(moved)) >= least).mean())
    return float(((np.abs(flipped_M) >= least).sum() + 1) / (len(flipped_M) + 1))


def all_sign_sums(values: Sequence[float] | Array) -> Array:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def _parts(num_samples: int, num_queries: int) -> list[slice]:
    """Slices of bounded memory. They depend on the number of queries only, and so do the random draws."""
    size = max(1, _VALUES_AT_ONCE // max(1, num_queries))
    return [slice(start, min(start + size, num_samples)) for start in range(0, num_samples, size)]
