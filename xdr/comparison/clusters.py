"""Queries that are not independent, such as one question in ten languages, as clusters: the units that tests resample.

A cluster keeps or swaps its values as a whole, and is drawn as a whole, in all of its languages at once.

N queries of one language, U clusters, S systems, M samples.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from xdr.comparison.resampling import flipped_means, resampled_means
from xdr.errors import UserError

Array = NDArray[np.float64]
Units = NDArray[np.int64]


def clusters_of(query_ids: Sequence[str], pattern: str | None) -> dict[str, str] | None:
    """The cluster of each query: what the regular expression finds in its id, or its first group. None without a pattern."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"evaluation.cluster must be a regular expression, got {pattern}: {error}") from None
    found = {query_id: compiled.search(query_id) for query_id in query_ids}
    if missing := [query_id for query_id, match in found.items() if match is None]:
        raise UserError(
            f"evaluation.cluster must find something in every query id, got {pattern}, which finds nothing in '{missing[0]}'"
        )
    return {query_id: match[1 if compiled.groups else 0] for query_id, match in found.items() if match is not None}


def units_by_language(
    query_ids: Sequence[str], rows_by_language: Mapping[str, Sequence[int]], clusters: Mapping[str, str]
) -> dict[str, Units]:
    """The number of the cluster of each query of a language."""
    used = dict.fromkeys(clusters[query_ids[row]] for rows in rows_by_language.values() for row in rows)
    numbers = {name: number for number, name in enumerate(used)}
    return {
        language: np.array([numbers[clusters[query_ids[row]]] for row in rows]) for language, rows in rows_by_language.items()
    }


def resampled_by_cluster(
    differences: Mapping[str, Array], units: Mapping[str, Units], num_samples: int, generator: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Array]]:
    """For each language, (M, S) means after random sign flips of clusters, and means over clusters that are drawn with
    replacement. Languages share the signs and the draws. A mean is nan where no query of the language was drawn."""
    num_units = 1 + max(int(units_N.max()) for units_N in units.values())
    flip_seed, draw_seed = generator.integers(2**63, size=2)
    flipped, resampled = {}, {}
    for language, differences_NS in differences.items():
        sums_US = np.zeros((num_units, differences_NS.shape[1]))
        np.add.at(sums_US, units[language], differences_NS)
        counts_U = np.bincount(units[language], minlength=num_units)
        share = num_units / len(differences_NS)
        flipped[language] = share * flipped_means(sums_US, num_samples, np.random.default_rng(flip_seed))
        drawn = resampled_means(np.column_stack([sums_US, counts_U]), num_samples, np.random.default_rng(draw_seed))
        with np.errstate(invalid="ignore"):
            resampled[language] = drawn[:, :-1] / drawn[:, -1:]
    return flipped, resampled


def mean_over_languages(drawn: Sequence[Array]) -> Array:
    """(M, ...): the mean of the languages' means in each sample, over those of which it has a query."""
    drawn_LMS = np.stack(drawn)
    there_LMS = ~np.isnan(drawn_LMS)
    with np.errstate(invalid="ignore"):
        means_MS: Array = np.where(there_LMS, drawn_LMS, 0).sum(axis=0) / there_LMS.sum(axis=0)
    return means_MS


def resampled_macro(
    values: Mapping[str, Array], units: Mapping[str, Units] | None, num_samples: int, generator: np.random.Generator
) -> Array:
    """(M, S): the means over languages, if queries of each language (N, S), or `units`, are drawn with replacement."""
    if units is None:
        return mean_over_languages([resampled_means(of_queries, num_samples, generator) for of_queries in values.values()])
    return mean_over_languages([*resampled_by_cluster(values, units, num_samples, generator)[1].values()])


def summed_by_cluster(values: Array, units: Units) -> Array:
    """The sum of the values of each cluster that has some."""
    return np.bincount(np.unique(units, return_inverse=True)[1], weights=values).astype(np.float64)


def clustered_t_test_p(strata: Sequence[Array], units: Sequence[Units]) -> float | None:
    """The two-sided p of the mean of the languages' means, with a standard error that is robust to clusters and as many degrees
    of freedom as there are clusters less one. With one query a cluster and one language, this is the paired t-test; with every
    language in every cluster, the t-test of the clusters' means. None if the variance is 0 or unknown."""
    if not any(stratum.any() for stratum in strata):
        return 1.0
    residuals = np.concatenate([(stratum - stratum.mean()) / (len(stratum) * len(strata)) for stratum in strata])
    of_units = summed_by_cluster(residuals, np.concatenate(units))
    num_units, mean = len(of_units), float(np.mean([stratum.mean() for stratum in strata]))
    rounding = 1e-12 * max(float(np.abs(stratum).max()) for stratum in strata)
    if num_units < 2 or np.abs(of_units).sum() <= rounding:
        return None
    error = np.sqrt(num_units / (num_units - 1) * (of_units**2).sum())
    return float(2 * stdtr(num_units - 1, -abs(mean) / error))
