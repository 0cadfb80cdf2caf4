import json
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from xdr.comparison.paired_tests import effect_size, holm, t_test_p
from xdr.comparison.resampling import all_sign_sums, flipped_means, resampled_means, sign_flip_p
from xdr.comparison.significance import RANDOMISATION, T_TEST, Comparison, compare_systems, too_few_samples
from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery

Generator = np.random.Generator


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(0)


def system(**values_by_language: list[float]) -> PerQuery:
    languages = [language for language, values in values_by_language.items() for _ in values]
    values = np.array([value for values in values_by_language.values() for value in values], dtype=float)
    return PerQuery(tuple(f"q{i}" for i in range(len(values))), tuple(languages), {"R@2kt": values})


def compare(baseline: PerQuery, other: PerQuery, num_samples: int = 1000, seed: int = 0) -> dict[str, Comparison]:
    systems = {"baseline": baseline, "other": other}
    generator = np.random.default_rng(seed)
    found = compare_systems(systems, "baseline", "R@2kt", num_samples=num_samples, confidence=0.95, generator=generator)
    return {comparison.language: comparison for comparison in found}


def test_the_t_test_is_scipys(generator: Generator) -> None:
    before, after = generator.random((2, 40))
    assert t_test_p([after - before]) == pytest.approx(scipy.stats.ttest_rel(after, before).pvalue, rel=1e-10)


def test_over_two_languages_it_is_welchs_test_of_the_one_against_the_other_negated(generator: Generator) -> None:
    finnish, korean = generator.normal(0.2, 1, 30), generator.normal(0.3, 2, 12)
    expected = scipy.stats.ttest_ind(finnish, -korean, equal_var=False).pvalue
    assert t_test_p([finnish, korean]) == pytest.approx(expected, rel=1e-10)


def test_all_sign_patterns_are_scipys_exact_permutation_test(generator: Generator) -> None:
    differences = generator.integers(-2, 3, 10) / 3
    expected = scipy.stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences / 10, np.zeros(2**10)) == pytest.approx(expected.pvalue, rel=1e-12)


def test_exact_patterns_of_the_macro_statistic_by_hand() -> None:
    """fi moves by 1 and 1, ko by 1: of 8 patterns only +++ and --- reach |1/2 (2/2) + 1/2 (1/1)| = 1."""
    comparison = compare(system(fi=[0, 0], ko=[0]), system(fi=[1, 1], ko=[1]))["macro"]
    assert comparison.p[RANDOMISATION] == 2 / 8
    assert comparison.mean_difference == 1


def test_random_signs_are_scipys_to_the_samples_error(generator: Generator) -> None:
    differences = generator.choice([-1, 0, 0, 0, 1], 300, p=[0.1, 0.25, 0.25, 0.25, 0.15])
    flipped = flipped_means(differences[:, None].astype(float), 20_000, generator)[:, 0]
    moved = int((differences != 0).sum())
    gained = int((differences == 1).sum())
    expected = scipy.stats.binomtest(gained, moved).pvalue  # for -1, 0, 1 this is the exact sign-flip test
    assert sign_flip_p(differences / 300, flipped) == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000))


def test_a_p_value_of_samples_counts_the_observed_pattern() -> None:
    assert sign_flip_p(np.full(20, 1.0), np.array([20.0, 0, -20, 1])) == 3 / 5
    assert sign_flip_p(np.full(20, 1.0), np.zeros(9)) == 1 / 10


def test_a_chance_difference_is_called_significant_as_often_as_promised(generator: Generator) -> None:
    """At the 5 % level, 5 % of the time, for the macro statistic over languages of unequal size and variance."""
    strata = [(generator.integers(0, 3, (n, 400)) - 1.0) * scale for n, scale in ((40, 1), (8, 2), (15, 0.5))]
    flipped = np.mean([flipped_means(stratum, 999, generator) for stratum in strata], axis=0)
    weighted = np.concatenate([stratum / (3 * len(stratum)) for stratum in strata])
    by_signs = [sign_flip_p(weighted[:, i], flipped[:, i]) for i in range(400)]
    by_t = [t_test_p([stratum[:, i] for stratum in strata]) for i in range(400)]
    for found in (by_signs, by_t):
        assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.085


def test_sign_sums_are_all_of_them() -> None:
    assert sorted(all_sign_sums([1, 3])) == [-4, -2, 2, 4]


def test_the_interval_is_scipys_bootstrap(generator: Generator) -> None:
    differences = generator.normal(1, 2, 50)
    found = np.quantile(resampled_means(differences[:, None], 20_000, generator), [0.025, 0.975])
    expected = scipy.stats.bootstrap((differences,), np.mean, n_resamples=20_000, method="percentile", rng=generator)
    assert found == pytest.approx(list(expected.confidence_interval), abs=0.03)


def test_the_macro_interval_draws_within_languages() -> None:
    """Languages that do not vary inside leave nothing to chance, however far apart they are."""
    comparison = compare(system(fi=[0, 0, 0], ko=[1, 1]), system(fi=[1, 1, 1], ko=[0.5, 0.5]))["macro"]
    assert comparison.confidence_interval == (0.25, 0.25)
    assert comparison.mean_difference == 0.25
    assert "all queries differ by the same amount" in compare(system(ko=[0, 0]), system(ko=[0.1, 0.1]))["ko"].note


def test_the_effect_size_is_the_mean_over_the_standard_deviation() -> None:
    assert effect_size([np.array([1.0, 2, 3])]) == pytest.approx(2)
    assert effect_size([np.array([1.0, 2, 3]), np.array([0.0, 4])]) == pytest.approx(2 / np.sqrt((1 + 8) / 2))


def test_holm_by_the_worked_example() -> None:
    """.01 x 4, .02 x 3, .03 x 2 and .04 x 1; the last may not be below the one before it."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1, 1]
    assert holm([]) == []


def test_the_family_is_every_comparison_of_the_metric() -> None:
    systems = {
        "baseline": system(fi=[0, 1, 0, 1, 0, 0], ko=[0, 0, 1, 1, 0]),
        "a": system(fi=[1, 1, 1, 1, 1, 0], ko=[1, 1, 1, 0, 1]),
        "b": system(fi=[0, 1, 1, 1, 0, 1], ko=[0, 0, 1, 1, 1]),
    }
    generator = np.random.default_rng(0)
    found = compare_systems(systems, "baseline", "R@2kt", num_samples=5000, confidence=0.9, generator=generator)
    assert [(c.system, c.language, c.n) for c in found] == [
        *(("a", "fi", 6), ("a", "ko", 5), ("a", "macro", 11)),
        *(("b", "fi", 6), ("b", "ko", 5), ("b", "macro", 11)),
    ]
    for test in (T_TEST, RANDOMISATION):
        assert [c.corrected_p[test] for c in found] == holm([c.p[test] for c in found])  # type: ignore[misc]  # none of them is None
    family = "all comparisons of R@2kt with baseline, Holm: 6 x paired t-test, 6 x sign-flip randomisation"
    assert {c.family for c in found} == {family}


def test_samples_too_few_for_the_family_are_said_to_be() -> None:
    """Three systems, two languages and macro: 9 comparisons. Of 100 samples the least p is 1/101, and 9/101 is .089."""
    systems = {name: system(fi=[0, 1, 0], ko=[1, 0, value]) for name, value in (("baseline", 0), ("a", 1), ("b", 1))}
    systems["c"] = system(fi=[0, 1, 0], ko=[0, 0, 0])

    def said(names: list[str], num_samples: int) -> list[str]:
        chosen = {name: systems[name] for name in names}
        generator = np.random.default_rng(0)
        found = compare_systems(chosen, "baseline", "R@2kt", num_samples=num_samples, confidence=0.95, generator=generator)
        return too_few_samples(found, num_samples)

    assert said(["baseline", "a"], 59) == said(["baseline", "a", "b", "c"], 10_000) == []
    (sentence,) = said(["baseline", "a", "b", "c"], 100)
    assert "too few for a family of 9 comparisons: no corrected p can be below 0.089. Set 180 or more" in sentence
    assert too_few_samples([], 1) == []


def test_a_comparison_is_plain_json() -> None:
    comparison = compare(system(fi=[0, 0, 1], ko=[0]), system(fi=[1, 0, 1], ko=[1]))["macro"]
    written = json.loads(json.dumps(comparison.as_json(), allow_nan=False))
    assert written["n"] == 4 and written["metric"] == "R@2kt" and written["pairing"] == "query id"
    assert written["p"][T_TEST] is None and written["p"][RANDOMISATION] == 0.5
    assert written["note"] == "one query in ko: no t-test and no effect size"


def test_identical_systems_differ_with_p_1() -> None:
    for comparison in compare(system(fi=[0, 1, 1], ko=[0, 1]), system(fi=[0, 1, 1], ko=[0, 1])).values():
        assert comparison.p == comparison.corrected_p == {T_TEST: 1, RANDOMISATION: 1}
        assert comparison.effect_size == 0 and comparison.confidence_interval == (0, 0)
        assert comparison.note == "no query differs"


def test_one_query_allows_no_test_and_counts_in_no_family() -> None:
    found = compare(system(fi=[0, 1, 1, 0], ko=[0]), system(fi=[1, 1, 0, 1], ko=[1]))
    assert found["ko"].p == found["ko"].corrected_p == {T_TEST: None, RANDOMISATION: None}
    assert found["ko"].note == "one query: no test is possible"
    assert "1 x paired t-test, 2 x sign-flip randomisation" in found["fi"].family


def test_macro_of_one_language_is_not_a_second_comparison() -> None:
    found = compare(system(fi=[0, 1, 1, 0, 0]), system(fi=[1, 1, 0, 1, 1]))
    assert found["macro"].p == found["fi"].p == found["fi"].corrected_p
    assert "1 x paired t-test" in found["macro"].family


def test_systems_are_paired_by_query_id_whatever_their_order() -> None:
    baseline, other = system(fi=[0, 0, 1, 0], ko=[0, 1]), system(fi=[1, 0, 1, 1], ko=[1, 1])
    order = [3, 5, 0, 4, 2, 1]
    shuffled = PerQuery(
        tuple(other.query_ids[i] for i in order),
        tuple(other.languages[i] for i in order),
        {"R@2kt": other.values["R@2kt"][order]},
    )
    assert compare(baseline, shuffled) == compare(baseline, other)


def test_the_same_seed_gives_the_same_numbers_beside_any_other_system(generator: Generator) -> None:
    baseline, other, third = (system(fi=list(generator.integers(0, 2, 50))) for _ in range(3))
    assert compare(baseline, other) == compare(baseline, other)
    systems = {"baseline": baseline, "third": third, "other": other}
    settings = {"num_samples": 1000, "confidence": 0.95, "generator": np.random.default_rng(0)}
    beside = compare_systems(systems, "baseline", "R@2kt", **settings)[2]
    alone = compare(baseline, other)["fi"]
    assert beside.p == pytest.approx(alone.p)
    assert beside.confidence_interval == pytest.approx(alone.confidence_interval)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: system(fi=[1, 1]), r"the same queries, got 1 only in baseline \(q2\). Score both on the same split"),
        (lambda s: system(fi=[1, 1, 1, 1]), r"1 only in other \(q3\)"),
        (lambda s: system(fi=[1, 1], ko=[1]), "query q2 is 'fi' in baseline and 'ko' in other"),
        (lambda s: system(fi=[1, np.nan, 1]), r"queries with a value of R@2kt, got 1 only in baseline \(q1\)"),
        (lambda s: PerQuery(s.query_ids, s.languages, {"R@5kt": s.values["R@2kt"]}), "metric must be one of R@5kt, got R@2kt"),
    ],
)
def test_systems_of_other_queries_are_refused(change: Callable[[PerQuery], PerQuery], says: str) -> None:
    baseline = system(fi=[0, 1, 1])
    with pytest.raises(UserError, match=says):
        compare(baseline, change(baseline))


def test_settings_that_make_no_sense_are_refused(generator: Generator) -> None:
    one = system(fi=[0, 1])
    for systems, baseline, num_samples, confidence, says in (
        ({"baseline": one, "a": one}, "base", 10, 0.95, "did you mean 'baseline'"),
        ({"baseline": one}, "baseline", 10, 0.95, "at least two systems, got only 'baseline'"),
        ({"baseline": one, "a": one}, "baseline", 0, 0.95, "num_samples must be at least 1, got 0"),
        ({"baseline": one, "a": one}, "baseline", 10, 95, "between 0 and 1, got 95"),
    ):
        settings = {"num_samples": num_samples, "confidence": confidence, "generator": generator}
        with pytest.raises(UserError, match=says):
            compare_systems(systems, baseline, "R@2kt", **settings)
