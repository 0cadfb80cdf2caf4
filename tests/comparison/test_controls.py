import numpy as np

from xdr.comparison import significance
from xdr.comparison.controls import best_control, compare_with_best_control
from xdr.comparison.paired_tests import holm
from xdr.comparison.significance import RANDOMISATION
from xdr.evaluation.per_query import PerQuery

TESTING = significance.Testing(2000, 0.95, 0)


def system(recall: list[float], spread: list[float]) -> PerQuery:
    ids = tuple(f"q{i}" for i in range(len(recall)))
    languages = tuple("fi" if i < 4 else "ko" for i in range(len(recall)))
    return PerQuery(ids, languages, {"recall@1": np.array(recall), "rank_spread": np.array(spread)})


SYSTEMS = {
    "baseline": system([0] * 8, [9] * 8),
    "mean_text": system([1, 0, 0, 0, 0, 0, 0, 0], [5] * 8),
    "csls-w1": system([1, 1, 0, 0, 1, 0, 0, 0], [7] * 8),
    "fused-a0.1": system([1, 1, 1, 0, 1, 1, 0, 0], [4, 3] * 4),
    "fused-a0.2": system([1, 1, 1, 1, 1, 1, 1, 0], [6] * 8),
}
FUSED, CONTROLS = ["fused-a0.1", "fused-a0.2"], ["mean_text", "csls-w1"]


def test_the_best_control_is_chosen_by_each_metric_and_fewer_ranks_are_better() -> None:
    assert best_control(SYSTEMS, CONTROLS, "recall@1") == "csls-w1"
    assert best_control(SYSTEMS, CONTROLS, "rank_spread") == "mean_text"


def test_each_augmented_system_is_compared_with_the_best_control_in_a_family_of_their_own() -> None:
    found = compare_with_best_control(SYSTEMS, FUSED, CONTROLS, "recall@1", TESTING, np.random.default_rng(0))
    assert [(c.baseline, c.system, c.language) for c in found] == [
        ("csls-w1", name, language) for name in FUSED for language in ("fi", "ko", "macro")
    ]
    by_hand = {(c.system, c.language): c.mean_difference for c in found}
    assert by_hand["fused-a0.1", "fi"] == 1 / 4 and by_hand["fused-a0.2", "macro"] == (2 / 4 + 2 / 4) / 2
    p = [c.p[RANDOMISATION] for c in found]
    assert [c.corrected_p[RANDOMISATION] for c in found] == holm(p)  # type: ignore[arg-type]  # none of them is None
    assert "all comparisons of recall@1 with csls-w1, Holm" in found[0].family


def test_without_controls_there_is_nothing_to_compare() -> None:
    assert not compare_with_best_control(SYSTEMS, FUSED, [], "recall@1", TESTING, np.random.default_rng(0))
    assert not compare_with_best_control(SYSTEMS, [], CONTROLS, "recall@1", TESTING, np.random.default_rng(0))


def test_clusters_reach_the_comparison_with_the_control() -> None:
    testing = significance.Testing(2000, 0.95, 0, cluster="^.")
    (comparison, *_) = compare_with_best_control(SYSTEMS, FUSED, CONTROLS, "recall@1", testing, np.random.default_rng(0))
    assert comparison.num_clusters == 1 and comparison.p[RANDOMISATION] is None
