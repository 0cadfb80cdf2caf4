"""Metrics by name: `R@2kt`, `recall@100`, `success@10`, `precision@1`, `MRR@10`, `nDCG@10`, `MAP`, `MAP@20`, `MAP-mono`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdr.errors import UserError, did_you_mean, shown

ANSWER_RECALL = "R"
"""R@2kt: whether the first 2,000 tokens contain an answer. The other measures need qrels."""
MEASURES = (ANSWER_RECALL, "precision", "recall", "success", "MRR", "nDCG", "MAP")
MONO, CROSS, SPREAD, JUDGED = "MAP-mono", "MAP-cross", "rank_spread", "nDCG-judged"
"""For passages in many languages: MAP among the passages in the query's language; the mean of MAP among the passages of each
other language; and the distance in ranks between the first and the last of parallel relevant passages. The last one is nDCG
among the passages that were judged for the query."""
OF_POOLS = (MONO, CROSS, SPREAD, JUDGED)

_EXAMPLES = ("R@2kt", "R@5kt", "recall@100", "success@10", "precision@1", "MRR@10", "nDCG@10", "MAP", "MAP@20", *OF_POOLS)
_WHOLE = ("MAP", *OF_POOLS)

_PATTERN = rf"R@[1-9]\d{{0,5}}kt|({'|'.join(MEASURES[1:])})@[1-9]\d{{0,8}}"


@dataclass(frozen=True)
class Metric:
    """`cutoff` counts passages, or tokens for R. None means the whole ranking."""

    measure: str
    cutoff: int | None

    @property
    def name(self) -> str:
        if self.cutoff is None:
            return self.measure
        return f"R@{self.cutoff // 1000}kt" if self.measure == ANSWER_RECALL else f"{self.measure}@{self.cutoff}"


def counts_ranks(name: str) -> bool:
    """True for a metric in ranks, of which less is better. The other metrics are shares."""
    return name == SPREAD


def parse_metric(name: str) -> Metric:
    if name in _WHOLE:
        return Metric(name, None)
    if not _is_metric(name):
        remedy = _remedy(*name.partition("@")) or f"metrics are {', '.join(_EXAMPLES)}"
        raise UserError(f"metrics must be known names, got {shown(name)}; {remedy}")
    measure, _, depth = name.partition("@")
    return Metric(measure, int(depth.removesuffix("kt")) * (1000 if measure == ANSWER_RECALL else 1))


def parse_metrics(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics in the given order."""
    metrics = tuple(parse_metric(name) for name in names)
    if repeated := [metric.name for metric in metrics if metrics.count(metric) > 1]:
        raise UserError(f"metrics must not repeat a name, got {repeated[0]} twice")
    return metrics


def require_headline(name: str) -> str:
    if counts_ranks(parse_metric(name).name):
        raise UserError(f"headline must be a metric of which more is better, got {name}. Take another, such as MAP")
    return name


def headline_of(metrics: Sequence[str], wanted: str) -> str:
    """The wanted one; where the metrics lack it, the first of which more is better."""
    return wanted if wanted in metrics else next(name for name in metrics if not counts_ranks(name))


def _is_metric(name: str) -> bool:
    return name in _WHOLE or re.fullmatch(_PATTERN, name, re.ASCII) is not None


def _remedy(measure: str, at: str, depth: str) -> str:
    """The nearest name, or the form of a name of this measure."""
    by_lower = {known.lower(): known for known in (*MEASURES, *OF_POOLS)}
    known = by_lower.get(measure.lower())
    if known is not None and known != measure and _is_metric(right := f"{known}@{depth}" if depth else known):
        return f"did you mean '{right}'?"
    if measure == ANSWER_RECALL:
        return "its budget must be in thousands of tokens, as in R@2kt and R@5kt"
    if measure in MEASURES:
        return f"its cutoff must be a whole number of passages, as in {measure}@10"
    if measure in OF_POOLS:
        return f"{measure} takes no cutoff"
    return did_you_mean(measure, (*MEASURES, *OF_POOLS)) and did_you_mean(measure + at + depth, _EXAMPLES)
