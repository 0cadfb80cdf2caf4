"""Mean and worst of noisy versions, by hand."""

import numpy as np

from xdr.comparison.noisy import on_equal_noise, over_versions, version_names, with_noise
from xdr.evaluation.per_query import PerQuery


def values(recall: list[float], mrr: list[float]) -> PerQuery:
    return PerQuery(("q1", "q2", "q3"), ("fi", "fi", "te"), {"recall@10": np.array(recall), "MRR": np.array(mrr)})


VERSIONS = [values([1, 0, np.nan], [0.5, 0.2, np.nan]), values([0, 0, np.nan], [0.9, 0.1, np.nan])]


def test_the_worst_version_is_that_of_the_headline_for_all_metrics() -> None:
    worst = over_versions(VERSIONS, "recall@10")["noise-worst"]
    np.testing.assert_array_equal(worst.values["recall@10"], [0, 0, np.nan])
    np.testing.assert_array_equal(worst.values["MRR"], [0.9, 0.2, np.nan])  # of q2 the first of two equal ones
    by_mrr = over_versions(VERSIONS, "MRR")["noise-worst"]
    np.testing.assert_array_equal(by_mrr.values["recall@10"], [1, 0, np.nan])


def test_the_mean_is_over_versions_and_a_query_without_a_value_has_none() -> None:
    mean = over_versions(VERSIONS, "MRR")["noise-mean"]
    np.testing.assert_allclose(mean.values["recall@10"], [0.5, 0, np.nan])
    np.testing.assert_allclose(mean.values["MRR"], [0.7, 0.15, np.nan])
    assert (mean.query_ids, mean.languages) == (VERSIONS[0].query_ids, VERSIONS[0].languages)


def test_each_system_stands_beside_itself_on_noisy_queries() -> None:
    assert version_names("a", 2) == ["a", "a~1", "a~2"]
    scored = {name: VERSIONS[0] for system in ("baseline", "other") for name in version_names(system, 2)}
    assert list(with_noise(scored, ["baseline", "other"], 0, "MRR")) == ["baseline", "other"]
    systems = with_noise(scored, ["baseline", "other"], 2, "MRR")
    noisy = ["baseline@noise-mean", "baseline@noise-worst", "other@noise-mean", "other@noise-worst"]
    assert list(systems) == ["baseline", "other", *noisy]
    earlier = {"run:baseline@noise-mean": VERSIONS[1]}
    assert {baseline: list(group) for baseline, group in on_equal_noise(systems | earlier, "baseline")} == {
        "baseline@noise-mean": ["baseline@noise-mean", "other@noise-mean", "run:baseline@noise-mean"],
        "baseline@noise-worst": ["baseline@noise-worst", "other@noise-worst"],
    }
    assert list(on_equal_noise(with_noise(scored, ["baseline"], 2, "MRR"), "baseline")) == []
