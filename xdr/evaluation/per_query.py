"""Values of metrics by query, and their means: by language, over languages (macro) and over queries (micro)."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError, did_you_mean

MACRO = "macro"


@dataclass(frozen=True)
class PerQuery:
    """The values of one system. `values[metric]` has the order of `query_ids`. A value is nan where the query has no relevant
    passage, or no answer besides yes and no."""

    query_ids: tuple[str, ...]
    languages: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        assert len(self.query_ids) == len(self.languages) == len(set(self.query_ids)), "each query once, with its language"
        assert all(values.shape == (len(self.query_ids),) for values in self.values.values()), "a value for each query"

    @property
    def macro(self) -> dict[str, float]:
        """The mean over languages of each metric."""
        return {metric: means(self, metric).macro for metric in self.values}

    def metric(self, name: str) -> NDArray[np.float64]:
        if name not in self.values:
            remedy = did_you_mean(name, self.values) or "Score it again with this metric"
            raise UserError(f"metric must be one of {', '.join(self.values)}, got {name}; {remedy}")
        return self.values[name]

    def rows_by_language(self, name: str) -> dict[str, list[int]]:
        """The rows of queries with a value, by language in alphabetical order."""
        rows: dict[str, list[int]] = {}
        for row, (language, value) in enumerate(zip(self.languages, self.metric(name), strict=True)):
            if not np.isnan(value):
                rows.setdefault(language, []).append(row)
        return dict(sorted(rows.items()))


@dataclass(frozen=True)
class Means:
    """`left_out` queries have no value. A language without any value does not appear."""

    by_language: Mapping[str, float]
    num_by_language: Mapping[str, int]
    macro: float
    micro: float
    num_queries: int
    left_out: int

    def as_json(self) -> dict[str, float]:
        """`{language: mean, ..., "macro": mean}`, as in metrics.json."""
        return {**self.by_language, MACRO: self.macro}


def means(system: PerQuery, metric: str) -> Means:
    values = system.metric(metric)
    rows = system.rows_by_language(metric)
    if not rows:
        raise UserError(f"{metric} has no value for any of the {len(values)} queries. {_REMEDY}")
    by_language = {language: fmean(values[of_language].tolist()) for language, of_language in rows.items()}
    valued = values[~np.isnan(values)]
    return Means(
        by_language=by_language,
        num_by_language={language: len(of_language) for language, of_language in rows.items()},
        macro=fmean(by_language.values()),
        micro=fmean(valued.tolist()),
        num_queries=len(valued),
        left_out=len(values) - len(valued),
    )


_REMEDY = "R@kt needs answers besides yes and no, the other metrics need qrels: choose a split that has them"
