"""Tests that resample clusters, against a plain implementation and scipy."""

from itertools import product

import numpy as np
import pytest
import scipy.stats

from xdr.comparison.clusters import clustered_t_test_p, clusters_of
from xdr.comparison.significance import RANDOMISATION, T_TEST, Comparison, compare_systems
from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery

Generator = np.random.Generator
LANGUAGES = ("fi", "ko", "te")


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(0)


def compare(differences: dict[str, float], num_samples: int = 4000, cluster: str | None = "[^:]+$") -> dict[str, Comparison]:
    """`differences` by query id, `lang:question`."""
    ids, languages = tuple(differences), tuple(query_id.split(":")[0] for query_id in differences)
    after = PerQuery(ids, languages, {"recall@1": np.array(list(differences.values()), float)})
    before = PerQuery(ids, languages, {"recall@1": np.zeros(len(ids))})
    found = compare_systems(
        {"baseline": before, "other": after},
        "baseline",
        "recall@1",
        num_samples=num_samples,
        confidence=0.95,
        generator=np.random.default_rng(1),
        clusters=clusters_of(ids, cluster),
    )
    return {comparison.language: comparison for comparison in found}


def macro(differences: dict[str, float]) -> float:
    by_language: dict[str, list[float]] = {}
    for query_id, value in differences.items():
        by_language.setdefault(query_id.split(":")[0], []).append(value)
    return float(np.mean([np.mean(values) for values in by_language.values()]))


def question_of(query_id: str) -> str:
    return query_id.split(":")[1]


def uneven(generator: Generator, num_questions: int) -> dict[str, float]:
    """Not every question is asked in every language, and its languages move together."""
    moves = {number: generator.integers(-1, 3) for number in range(num_questions)}
    return {
        f"{language}:{number}": float(np.clip(moves[number] + generator.integers(-1, 2), -1, 1))
        for number in moves
        for language in LANGUAGES
        if generator.random() < 0.8
    }


def test_p_is_the_share_of_all_sign_patterns_of_the_questions(generator: Generator) -> None:
    differences = uneven(generator, 9)
    questions = sorted({question_of(query_id) for query_id in differences})
    statistics = []
    for signs in product((-1, 1), repeat=len(questions)):
        sign_of = dict(zip(questions, signs, strict=True))
        statistics.append(macro({query_id: sign_of[question_of(query_id)] * d for query_id, d in differences.items()}))
    expected = np.mean(np.abs(statistics) >= abs(macro(differences)) - 1e-12)
    found = compare(differences)["macro"]
    assert found.p[RANDOMISATION] == pytest.approx(expected, rel=1e-12)
    assert found.num_clusters == len(questions) and found.n == len(differences)
    assert found.mean_difference == pytest.approx(macro(differences))


def test_sampled_signs_agree_with_a_plain_loop(generator: Generator) -> None:
    differences = uneven(generator, 60)
    differences = {query_id: d - 0.25 * (question_of(query_id) < "4") for query_id, d in differences.items()}
    questions = sorted({question_of(query_id) for query_id in differences})
    reached = 0
    for _ in range(1000):
        sign_of = dict(zip(questions, generator.choice((-1, 1), len(questions)), strict=True))
        flipped = macro({query_id: sign_of[question_of(query_id)] * d for query_id, d in differences.items()})
        reached += abs(flipped) >= abs(macro(differences))
    p = compare(differences)["macro"].p[RANDOMISATION]
    assert p == pytest.approx(reached / 1000, abs=0.05)


def test_the_interval_is_that_of_a_plain_bootstrap_over_questions(generator: Generator) -> None:
    differences = uneven(generator, 40)
    questions = sorted({question_of(query_id) for query_id in differences})
    drawn_means = []
    for _ in range(2000):
        by_language: dict[str, list[float]] = {}
        for question in generator.choice(questions, len(questions)):
            for language in LANGUAGES:
                if (query_id := f"{language}:{question}") in differences:
                    by_language.setdefault(language, []).append(differences[query_id])
        drawn_means.append(np.mean([np.mean(values) for values in by_language.values()]))
    found = compare(differences)
    assert found["macro"].confidence_interval == pytest.approx(list(np.quantile(drawn_means, [0.025, 0.975])), abs=0.03)
    width = np.ptp(found["macro"].confidence_interval)
    assert width > 1.3 * np.ptp(compare(differences, cluster=None)["macro"].confidence_interval), "languages move together"


def test_the_t_test_is_scipys_over_the_means_of_questions_that_all_languages_share(generator: Generator) -> None:
    values_LN = generator.normal(0.2, 1, (3, 25)) + generator.normal(0, 1, 25)
    differences = {f"{code}:{n}": values_LN[i, n] for i, code in enumerate(LANGUAGES) for n in range(25)}
    found = compare(differences)
    assert found["macro"].p[T_TEST] == pytest.approx(scipy.stats.ttest_1samp(values_LN.mean(axis=0), 0).pvalue, rel=1e-10)
    assert found["fi"].p[T_TEST] == pytest.approx(scipy.stats.ttest_1samp(values_LN[0], 0).pvalue, rel=1e-10)


def test_one_query_a_cluster_is_no_cluster(generator: Generator) -> None:
    differences = {f"fi:{number}": value for number, value in enumerate(generator.integers(-1, 2, 12))}
    alone, clustered = compare(differences, cluster=None)["fi"], compare(differences)["fi"]
    assert clustered.p == pytest.approx(alone.p)
    assert clustered.effect_size == alone.effect_size and alone.num_clusters is None and clustered.num_clusters == 12
    assert clustered.confidence_interval == pytest.approx(alone.confidence_interval, abs=0.1)


def test_a_chance_difference_is_called_significant_as_often_as_promised(generator: Generator) -> None:
    """Ten languages of 25 questions that move together. Queries as units find three times as many differences as there are."""
    by_cluster, by_query = [], []
    for _ in range(100):
        moves_N = generator.choice((-1, 0, 0, 1), 25)
        differences = {f"l{code}:{n}": float(moves_N[n] * (generator.random() < 0.7)) for code in range(10) for n in range(25)}
        by_cluster.append([compare(differences, 199)["macro"].p[test] for test in (RANDOMISATION, T_TEST)])
        by_query.append([compare(differences, 199, None)["macro"].p[test] for test in (RANDOMISATION, T_TEST)])
    assert (np.mean(np.array(by_cluster) <= 0.05, axis=0) < 0.1).all()
    assert (np.mean(np.array(by_query) <= 0.05, axis=0) > 0.25).all()


def test_a_single_cluster_allows_no_test() -> None:
    found = compare({"fi:1": 1, "ko:1": 1})
    assert found["macro"].p == {T_TEST: None, RANDOMISATION: None}
    assert found["macro"].note == "one cluster of queries: no test is possible"
    assert clustered_t_test_p([np.array([1.0, 1]), np.array([1.0])], [np.array([0, 1]), np.array([0])]) is None
    assert clustered_t_test_p([np.zeros(2)], [np.array([0, 1])]) == 1


def test_the_cluster_is_what_the_pattern_finds_in_the_id() -> None:
    assert clusters_of(["fi:a1", "ko:a1"], "[^:]+$") == {"fi:a1": "a1", "ko:a1": "a1"}
    assert clusters_of(["x-12-fi"], "-([0-9]+)-") == {"x-12-fi": "12"}
    assert clusters_of(["a"], None) is None
    with pytest.raises(UserError, match="find something in every query id, got :, which finds nothing in 'q2'"):
        clusters_of(["fi:1", "q2"], ":")
    with pytest.raises(UserError, match=r"must be a regular expression, got \(: missing \), unterminated subpattern"):
        clusters_of(["a"], "(")
