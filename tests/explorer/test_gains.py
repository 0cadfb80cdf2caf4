"""The questions that gained and lost most, by hand."""

import numpy as np

from xdr.evaluation.per_query import PerQuery
from xdr.explorer.gains import Change, most_changed

NAN = float("nan")


def values(ids: str, **metrics: list[float]) -> PerQuery:
    languages = tuple("fi" if query_id in "abc" else "ar" for query_id in ids)
    return PerQuery(tuple(ids), languages, {name: np.array(of_metric) for name, of_metric in metrics.items()})


BASELINE = values("abcdef", MRR=[0.5, 0.0, 1.0, 0.5, NAN, 0.25], rank_spread=[9, 1, 5, 5, 5, 5])
OTHER = values("fedcba", MRR=[0.5, 1.0, 0.5, 0.0, 0.25, 1.0], rank_spread=[5, 5, 5, 8, 1, 2])
SYSTEMS = {"baseline": BASELINE, "other": OTHER}


def test_the_greatest_changes_come_first_and_equal_ones_by_id() -> None:
    gained, lost = most_changed(SYSTEMS, "baseline", "other", "MRR", None, 2)
    assert gained == [Change("a", 0.5, 1.0), Change("b", 0.0, 0.25)], "f gained as much as b; d nothing; e has no value"
    assert lost == [Change("c", 1.0, 0.0)]


def test_a_language_alone() -> None:
    assert most_changed(SYSTEMS, "baseline", "other", "MRR", "ar", 10) == ([Change("f", 0.25, 0.5)], [])


def test_fewer_ranks_between_parallel_passages_are_a_gain() -> None:
    gained, lost = most_changed(SYSTEMS, "baseline", "other", "rank_spread", None, 10)
    assert (gained, lost) == ([Change("a", 9, 2)], [Change("c", 5, 8)])
