"""Tests whether a system differs from a baseline, by language and for the mean over languages (macro).

Values are paired by query. There are two tests: the paired t-test, which the literature reports, and randomisation by flipping
signs, which needs no assumption about values of 0 and 1. Both test the number that is reported: for macro the mean of the
languages' means. p-values are corrected by Holm's method over all comparisons of a metric. What is flipped and resampled is a
query, or a cluster of queries.

M samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xdr.comparison.clusters import (
    Units,
    clustered_t_test_p,
    clusters_of,
    mean_over_languages,
    resampled_by_cluster,
    summed_by_cluster,
    units_by_language,
)
from xdr.comparison.paired_tests import effect_size, holm, stratified_mean, t_test_p
from xdr.comparison.resampling import flipped_means, resampled_means, sign_flip_p
from xdr.errors import UserError, did_you_mean
from xdr.evaluation.per_query import MACRO, PerQuery
from xdr.storage.fingerprint import Json

Array = NDArray[np.float64]

T_TEST = "paired t-test"
RANDOMISATION = "sign-flip randomisation"
TESTS = (T_TEST, RANDOMISATION)


@dataclass(frozen=True)
class Testing:
    """Settings of the tests. `num_samples` is that of the randomisation and of the bootstrap. `cluster` is the pattern of
    `clusters_of`; without it, each query is resampled alone."""

    num_samples: int
    confidence: float
    seed: int
    cluster: str | None = None

    def compare(
        self, systems: Mapping[str, PerQuery], baseline: str, metric: str, generator: np.random.Generator
    ) -> "list[Comparison]":
        """Returns what `compare_systems` does with these settings."""
        return compare_systems(
            systems,
            baseline,
            metric,
            num_samples=self.num_samples,
            confidence=self.confidence,
            generator=generator,
            clusters=clusters_of(systems[baseline].query_ids, self.cluster),
        )


@dataclass(frozen=True)
class Comparison:
    """The difference of `system` minus `baseline`. `p` and `corrected_p` are by test. They are None where no test is possible;
    `note` says why."""

    metric: str
    baseline: str
    system: str
    language: str
    n: int
    mean_difference: float
    confidence: float
    confidence_interval: tuple[float, float]
    p: Mapping[str, float | None]
    corrected_p: Mapping[str, float | None]
    effect_size: float | None
    family: str
    family_size: Mapping[str, int]
    """By test, the number of comparisons in which it was possible."""
    pairing: str
    note: str
    num_clusters: int | None = None
    """What was resampled, if that is not the query."""

    def as_json(self) -> dict[str, Json]:
        return {**asdict(self), "confidence_interval": list(self.confidence_interval)}


def compare_systems(
    systems: Mapping[str, PerQuery],
    baseline: str,
    metric: str,
    *,
    num_samples: int,
    confidence: float,
    generator: np.random.Generator,
    clusters: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Compares every other system with the baseline: in each language, then macro. `clusters` maps query ids to the units that
    are resampled, if these are not the queries."""
    _check_settings(systems, baseline, num_samples, confidence)
    names = [name for name in systems if name != baseline]
    differences = {name: paired_differences(systems, baseline, name, metric) for name in names}  # by language, paired
    languages = list(systems[baseline].rows_by_language(metric))
    if not languages:
        raise UserError(f"{metric} has no value for any query, so there is nothing to compare")
    together = {language: np.stack([differences[name][language] for name in names], axis=1) for language in languages}
    units: dict[str, Units] | None = None
    if clusters is None:
        flipped = {language: flipped_means(together[language], num_samples, generator) for language in languages}
        resampled = {language: resampled_means(together[language], num_samples, generator) for language in languages}
    else:
        units = units_by_language(systems[baseline].query_ids, systems[baseline].rows_by_language(metric), clusters)
        flipped, resampled = resampled_by_cluster(together, units, num_samples, generator)
    comparisons = []
    for i, name in enumerate(names):
        for group, members in {**{language: [language] for language in languages}, MACRO: languages}.items():
            strata = [differences[name][member] for member in members]
            flipped_M = np.mean([flipped[member][:, i] for member in members], axis=0)
            drawn_M = mean_over_languages([resampled[member][:, i] for member in members])
            units_of = None if units is None else [units[member] for member in members]
            p, note = _tests(strata, members, flipped_M, units_of)
            comparisons.append(
                Comparison(
                    metric=metric,
                    baseline=baseline,
                    system=name,
                    language=group,
                    n=sum(map(len, strata)),
                    mean_difference=stratified_mean(strata),
                    confidence=confidence,
                    confidence_interval=percentile_interval(drawn_M, confidence),
                    p=p,
                    corrected_p={},
                    effect_size=effect_size(strata),
                    family="",
                    family_size={},
                    pairing="query id",
                    note=note,
                    num_clusters=None if units_of is None else len(np.unique(np.concatenate(units_of))),
                )
            )
    return _corrected(comparisons, f"with {baseline}")


def corrected_together(comparisons: Sequence[Comparison], scope: str = "in the sweep") -> list[Comparison]:
    """Comparisons with several baselines, corrected as one family for each metric. `scope` names the family."""
    return _corrected(comparisons, scope)


def _corrected(comparisons: Sequence[Comparison], scope: str) -> list[Comparison]:
    """Corrects each test over the comparisons of a metric in which the test was possible. The macro comparison of a system with
    one language repeats the comparison of that language, and counts only once."""
    languages: dict[tuple[str, str], list[str]] = {}
    for comparison in comparisons:
        if comparison.language != MACRO:
            languages.setdefault((comparison.metric, comparison.system), []).append(comparison.language)

    def place(comparison: Comparison) -> tuple[str, str]:
        own = languages[comparison.metric, comparison.system]
        return comparison.system, own[0] if len(own) == 1 else comparison.language

    tested: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for comparison in comparisons:
        for test in TESTS:
            p = tested.setdefault((comparison.metric, test), {})
            if (value := comparison.p[test]) is not None:
                p[place(comparison)] = value
    corrected = {key: dict(zip(p, holm(list(p.values())), strict=True)) for key, p in tested.items()}
    results = []
    for comparison in comparisons:
        of_metric = {test: corrected[comparison.metric, test] for test in TESTS}
        sizes = {test: len(p) for test, p in of_metric.items()}
        counts = ", ".join(f"{number} x {test}" for test, number in sizes.items())
        results.append(
            replace(
                comparison,
                corrected_p={test: p.get(place(comparison)) for test, p in of_metric.items()},
                family=f"all comparisons of {comparison.metric} {scope}, Holm: {counts}",
                family_size=sizes,
            )
        )
    return results


def too_few_samples(comparisons: Sequence[Comparison], num_samples: int) -> list[str]:
    """A sentence if no difference can be significant: randomisation finds no p below 1 / (samples + 1), and Holm's method
    multiplies the smallest by the size of the family."""
    families = ((comparison.family_size[RANDOMISATION], 1 - comparison.confidence) for comparison in comparisons)
    size, level = max(families, default=(0, 1.0))
    if size / (num_samples + 1) <= level:
        return []
    return [
        f"evaluation.num_samples={num_samples} is too few for a family of {size} comparisons: no corrected p can be below "
        f"{size / (num_samples + 1):.2g}. Set {math.ceil(size / level)} or more"
    ]


def percentile_interval(resampled_M: Array, confidence: float) -> tuple[float, float]:
    """The percentiles of the bootstrap."""
    low, high = np.nanquantile(resampled_M, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _check_settings(systems: Mapping[str, PerQuery], baseline: str, num_samples: int, confidence: float) -> None:
    if baseline not in systems:
        remedy = did_you_mean(baseline, systems) or f"the systems are {', '.join(systems)}"
        raise UserError(f"baseline must be one of the systems, got '{baseline}'; {remedy}")
    if len(systems) < 2:
        raise UserError(f"systems must have at least two systems, got only '{baseline}'")
    if num_samples < 1:
        raise UserError(f"num_samples must be at least 1, got {num_samples}")
    if not 0 < confidence < 1:
        raise UserError(f"confidence must be between 0 and 1, got {confidence}. 0.95 is usual")


def paired_differences(systems: Mapping[str, PerQuery], baseline: str, name: str, metric: str) -> dict[str, Array]:
    """Of each query, `name` minus `baseline`: by language, in the baseline's order of queries."""
    first, second = systems[baseline], systems[name]
    require_same_queries(set(first.query_ids), set(second.query_ids), baseline, name)
    row_of = {query_id: row for row, query_id in enumerate(second.query_ids)}
    order = [row_of[query_id] for query_id in first.query_ids]
    for query_id, language, row in zip(first.query_ids, first.languages, order, strict=True):
        if second.languages[row] != language:
            raise UserError(
                f"systems must have the same queries, but query {query_id} is '{language}' in {baseline} and "
                f"'{second.languages[row]}' in {name}. Score both on the same benchmark"
            )
    before, after = first.metric(metric), second.metric(metric)[order]
    valued = [{first.query_ids[row] for row in np.flatnonzero(~np.isnan(values))} for values in (before, after)]
    require_same_queries(valued[0], valued[1], baseline, name, f"queries with a value of {metric}")
    return {language: (after - before)[rows] for language, rows in first.rows_by_language(metric).items()}


def require_same_queries(first: set[str], second: set[str], baseline: str, name: str, what: str = "queries") -> None:
    if first == second:
        return
    counts = []
    for only, system in ((first - second, baseline), (second - first, name)):
        if only:
            counts.append(f"{len(only)} only in {system} ({', '.join(sorted(only)[:3])}{' ...' if len(only) > 3 else ''})")
    remedy = "Score both on the same split of the same benchmark"
    raise UserError(f"systems must have the same {what}, got {', '.join(counts)}. {remedy}")


def _tests(
    strata: Sequence[Array], languages: Sequence[str], flipped_M: Array, units: Sequence[Units] | None
) -> tuple[dict[str, float | None], str]:
    """p by test, and a note about them."""
    single = [language for language, stratum in zip(languages, strata, strict=True) if len(stratum) == 1]
    if len(single) == len(languages) == 1:
        return {T_TEST: None, RANDOMISATION: None}, "one query: no test is possible"
    weighted = np.concatenate([stratum / (len(stratum) * len(strata)) for stratum in strata])
    if units is None:
        p = {T_TEST: t_test_p(strata), RANDOMISATION: sign_flip_p(weighted, flipped_M)}
    else:
        of_clusters = summed_by_cluster(weighted, np.concatenate(units))
        if len(of_clusters) == 1:
            return {T_TEST: None, RANDOMISATION: None}, "one cluster of queries: no test is possible"
        p = {T_TEST: clustered_t_test_p(strata, units), RANDOMISATION: sign_flip_p(of_clusters, flipped_M)}
    if not weighted.any():
        return p, "no query differs"
    if single and units is None:
        return p, f"one query in {', '.join(single)}: no t-test and no effect size"
    if p[T_TEST] is None:
        return p, "all queries differ by the same amount: no t-test and no effect size"
    return p, ""
