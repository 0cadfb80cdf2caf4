"""What systems lose on noisy queries and win back, by hand and against scipy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from xdr.comparison import significance
from xdr.comparison.noisy import MEAN, WORST, noisy_name
from xdr.comparison.robustness import Robustness, drops_by_operator, robustness_of
from xdr.comparison.significance import RANDOMISATION
from xdr.evaluation.per_query import PerQuery

METRIC = "recall@10"
TESTING = significance.Testing(3000, 0.95, 0)
Array = NDArray[np.float64]


def per_query(values: Sequence[float] | Array, languages: Sequence[str]) -> PerQuery:
    ids = tuple(f"q{i}:{i // 2}" for i in range(len(values)))
    return PerQuery(ids, tuple(languages), {METRIC: np.array(values, np.float64)})


def robustness(
    systems: Mapping[str, Sequence[Sequence[float] | Array]],
    languages: Sequence[str],
    by_operator: Mapping[str, Mapping[str, Array]] | None = None,
    cluster: str | None = None,
) -> Robustness:
    """`systems` maps names to values of clean queries, of the mean of the versions and of the worst."""
    found = {name: per_query(clean, languages) for name, (clean, *_) in systems.items()}
    for name, (_, mean, worst) in systems.items():
        found |= {noisy_name(name, label): per_query(each, languages) for label, each in ((MEAN, mean), (WORST, worst))}
    found["earlier"] = found["baseline"]  # without noise
    testing = replace(TESTING, cluster=cluster)
    return robustness_of(found, "baseline", METRIC, by_operator or {}, 4, testing, np.random.default_rng(0))


FORMS = ["baseline", noisy_name("baseline", MEAN), noisy_name("baseline", WORST)]
HAND = {  # two Finnish queries and one Telugu one
    "baseline": ([1, 1, 1], [0.5, 0.75, 0.5], [0, 0.5, 0]),
    "other": ([1, 0.5, 1], [0.75, 0.5, 0.75], [0.5, 0.5, 0.25]),
}


def test_drops_and_recovery_by_hand() -> None:
    """baseline: 1 -> (5/8 + 1/2) / 2 = 9/16 -> (1/4 + 0) / 2 = 1/8. other: 7/8 -> (5/8 + 3/4) / 2 = 11/16 -> 3/8."""
    found = robustness(HAND, ["fi", "fi", "te"])
    assert found.systems == ("baseline", "other")
    assert [found.value("baseline", label) for label in ("", MEAN, WORST)] == [1, 9 / 16, 1 / 8]
    assert [found.value("other", label) for label in ("", MEAN, WORST)] == [7 / 8, 11 / 16, 3 / 8]
    assert found.drops[MEAN]["baseline"]["macro"].mean_difference == -7 / 16
    assert found.drops[MEAN]["baseline"]["fi"].mean_difference == -3 / 8
    assert found.drops[WORST]["other"]["macro"].mean_difference == -1 / 2
    assert found.relative[MEAN]["baseline"].value == -7 / 16
    assert found.relative[WORST]["other"].value == pytest.approx(-4 / 7)
    assert found.recovered["other"].value == pytest.approx((11 / 16 - 9 / 16) / (7 / 16))
    assert found.beside_baseline["other"]["macro"].mean_difference == pytest.approx(-3 / 16 + 7 / 16)
    assert list(found.recovered) == list(found.beside_baseline) == ["other"]


def test_a_query_without_a_value_and_the_order_of_queries_change_nothing() -> None:
    languages = ["fi", "fi", "te"]
    expected = robustness(HAND, languages)
    longer = {name: tuple([*values, np.nan] for values in of_system) for name, of_system in HAND.items()}
    assert robustness(longer, [*languages, "te"]) == expected
    systems = {name: per_query(HAND["baseline"][i], languages) for i, name in enumerate(FORMS)}
    for i, form in enumerate(FORMS):
        found = per_query(HAND["other"][i], languages)
        systems[form.replace("baseline", "other")] = PerQuery(
            found.query_ids[::-1], found.languages[::-1], {METRIC: found.values[METRIC][::-1]}
        )
    reversed_order = robustness_of(systems, "baseline", METRIC, {}, 4, TESTING, np.random.default_rng(0))
    assert reversed_order.recovered == expected.recovered and reversed_order.relative == expected.relative


def test_p_is_corrected_over_systems_and_languages() -> None:
    """Of 2^3 patterns of signs two are as extreme; a single Telugu query allows no test, which leaves 2 of 3 groups."""
    comparison = robustness(HAND, ["fi", "fi", "te"]).drops[MEAN]["baseline"]["macro"]
    assert comparison.p[RANDOMISATION] == 2 / 8
    assert comparison.family_size[RANDOMISATION] == 2 * 2
    assert comparison.corrected_p[RANDOMISATION] == 1
    assert comparison.family.startswith("all comparisons of recall@10 of noisy with clean queries, Holm: ")


def test_a_system_that_is_better_by_a_constant_recovers_and_is_not_more_robust() -> None:
    clean, noisy = np.array([0.5, 0.6, 0.4, 0.8]), np.array([0.3, 0.1, 0.4, 0.5])
    better = {"baseline": (clean, noisy, noisy), "better": (clean + 0.1, noisy + 0.1, noisy + 0.1)}
    found = robustness(better, ["fi"] * 4)
    assert found.recovered["better"].value == pytest.approx(0.1 / 0.25)
    beside = found.beside_baseline["better"]["macro"]
    assert beside.mean_difference == pytest.approx(0)
    assert beside.p[RANDOMISATION] is not None and beside.p[RANDOMISATION] > 0.3


def test_the_intervals_are_scipys_of_paired_samples() -> None:
    generator = np.random.default_rng(3)
    clean = generator.choice([0.0, 1.0], 80, p=[0.3, 0.7])
    noisy, other = clean * generator.uniform(0.3, 1, 80), clean * generator.uniform(0.5, 1, 80)
    found = robustness({"baseline": (clean, noisy, noisy), "other": (clean, other, other)}, ["fi"] * 80)

    def expected(dividend: Array, divisor: Array) -> tuple[float, float]:
        found = scipy.stats.bootstrap(
            (dividend, divisor),
            lambda dividend, divisor, axis: dividend.mean(axis) / divisor.mean(axis),
            paired=True,
            vectorized=True,
            n_resamples=4000,
            method="percentile",
            rng=np.random.default_rng(1),
        )
        return tuple(found.confidence_interval)

    assert found.recovered["other"].confidence_interval == pytest.approx(expected(other - noisy, clean - noisy), abs=0.015)
    assert found.relative[MEAN]["baseline"].confidence_interval == pytest.approx(expected(noisy - clean, clean), abs=0.01)


def test_nothing_is_recovered_where_the_baseline_loses_nothing() -> None:
    clean, higher = np.array([0.5, 0.6, 0.4, 0.8]), np.array([0.6, 0.6, 0.5, 0.8])
    found = robustness({"baseline": (clean, higher, clean), "other": (clean, clean, clean)}, ["fi"] * 4)
    assert (found.recovered["other"].value, found.recovered["other"].confidence_interval) == (None, None)


def test_a_share_of_an_uncertain_drop_has_no_interval() -> None:
    """The baseline loses 0.1 on average, with 0.4 and -0.3 on equally many queries."""
    clean = np.full(20, 0.5)
    noisy = clean + np.tile([-0.4, 0.2], 10)
    found = robustness({"baseline": (clean, noisy, noisy), "other": (clean, clean, clean)}, ["fi"] * 20)
    assert found.recovered["other"].value == pytest.approx(1)
    assert found.recovered["other"].confidence_interval is None


def test_a_version_counts_for_each_operator_that_helped_to_make_it() -> None:
    """Queries: both versions swapped; one swapped and deleted, the other deleted; nothing to change; no relevant passage."""
    operators = [[("swap",), ("swap", "delete"), (), ("swap",)], [("swap", "swap"), ("delete",), (), ("swap",)]]
    versions = [np.array([0.5, 0.25, 1, np.nan]), np.array([0.25, 0.75, 1, np.nan])]
    drops = drops_by_operator(np.array([1, 1, 1, np.nan]), versions, operators)
    assert list(drops) == ["delete", "swap"]
    np.testing.assert_array_equal(drops["delete"], [np.nan, -0.5, np.nan, np.nan])
    np.testing.assert_array_equal(drops["swap"], [-0.625, -0.75, np.nan, np.nan])


def test_a_drop_by_operator_is_the_mean_of_its_queries_and_corrected_over_operators() -> None:
    nan = np.nan
    drops = {"delete": np.array([-1, -0.5, nan]), "swap": np.array([0, 0, -0.25]), "insert": np.array([nan, nan, nan])}
    found = robustness(HAND, ["fi", "fi", "te"], {"baseline": drops, "other": drops}).by_operator
    assert {system: list(of_system) for system, of_system in found.items()} == {name: ["delete", "swap"] for name in HAND}
    assert [(each.n, each.mean_difference) for each in found["other"].values()] == [(2, -0.75), (3, pytest.approx(-1 / 12))]
    assert {each.family_size[RANDOMISATION] for each in found["other"].values()} == {4}


def test_queries_of_a_cluster_are_drawn_together() -> None:
    """Two questions in two languages. Each loses 0.5 in one language and 0.75 in the other, so each sample of questions has
    the same mean."""
    clean, noisy = np.ones(4), np.array([0.5, 0.25, 0.25, 0.5])
    systems, languages = {"baseline": (clean, noisy, noisy)}, ["fi", "te", "fi", "te"]
    found = robustness(systems, languages, cluster="[^:]+$")
    assert found.drops[MEAN]["baseline"]["macro"].num_clusters == 2
    assert found.relative[MEAN]["baseline"].confidence_interval == pytest.approx((-0.625, -0.625))
    assert robustness(systems, languages).relative[MEAN]["baseline"].confidence_interval == (-0.75, -0.5)
