"""Which questions gained and lost most, by the values that the evaluation left."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import PerQuery


class Change(NamedTuple):
    query_id: str
    before: float
    after: float


def most_changed(
    values: Mapping[str, PerQuery], baseline: str, system: str, metric: str, language: str | None, number: int
) -> tuple[list[Change], list[Change]]:
    """The `number` queries that gained most with the system, and those that lost most; each list begins with the greatest
    change, equal ones in the order of their ids. Queries without a value, or without a change, are left out."""
    one, other = values[baseline], values[system]
    places = {query_id: place for place, query_id in enumerate(other.query_ids)}
    changes = []
    for place, (query_id, of_query) in enumerate(zip(one.query_ids, one.languages, strict=True)):
        if query_id in places and language in (None, of_query):
            change = Change(query_id, float(one.values[metric][place]), float(other.values[metric][places[query_id]]))
            changes += [change] if not np.isnan(change.after - change.before) and change.after != change.before else []
    sign = -1 if counts_ranks(metric) else 1
    gained = [change for change in changes if sign * (change.after - change.before) > 0]
    lost = [change for change in changes if sign * (change.after - change.before) < 0]
    return tuple(sorted(each, key=_greatest_first)[:number] for each in (gained, lost))  # type: ignore[return-value]


def _greatest_first(change: Change) -> tuple[float, str]:
    return -abs(change.after - change.before), change.query_id
