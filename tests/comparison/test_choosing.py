import numpy as np
import pytest

from xdr.comparison.choosing import chosen_systems, kind_of
from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery


def systems(recall: dict[str, float]) -> dict[str, PerQuery]:
    return {name: PerQuery(("q1",), ("fi",), {"recall@1": np.array([value])}) for name, value in recall.items()}


THERE = {"baseline": 0.5, "mean-a0.1": 0.6, "mean-a0.5": 0.7, "csls-w1": 0.4, "csls-w0.5": 0.4}
THERE |= {"mean-a0.1+csls-w1": 0.8, "mean-a0.5+csls-w1": 0.7, "mean-a0.1+csls-w0.5": 0.1, "mean-a0.5+csls-w0.5": 0.2}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("baseline", "baseline"),
        ("mean-a0.5", "mean-a"),
        ("sum-a1e-05", "sum-a"),
        ("unit_mean-a0.5-fi", "unit_mean-a-fi"),
        ("unit_mean-a0.5+query_bank-b20", "unit_mean-a+query_bank-b"),
        ("hyde_mean", "hyde_mean"),
        ("fusion_2-a0", "fusion_2-a"),
    ],
)
def test_the_kind_of_a_system_is_its_name_without_settings(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_of_each_kind_the_system_that_was_best_there_is_reported() -> None:
    names = list(THERE)
    assert chosen_systems(names, systems(THERE), "recall@1") == ("baseline", "mean-a0.5", "csls-w1", "mean-a0.1+csls-w1")
    assert chosen_systems(["baseline", "mean-a0.5"], systems(THERE), "recall@1") == ("baseline", "mean-a0.5")


def test_a_choice_that_cannot_be_reported_is_refused() -> None:
    with pytest.raises(UserError, match="choose_from, mean-a0.5, is not searched here. Give both the same settings"):
        chosen_systems(["baseline", "mean-a0.1"], systems(THERE), "recall@1")
    with pytest.raises(UserError, match="must have a system of the kind sum-a, got baseline, mean-a0.1"):
        chosen_systems(["baseline", "sum-a0.1"], systems(THERE), "recall@1")
