"""What a report says, as plain values: the page, the terminal and W&B show the same. Shares and differences are in [0, 1] here
and times 100 wherever they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from xdr.evaluation.per_query import MACRO, Means
from xdr.evaluation.significance import RANDOMISATION, Comparison

TEST = RANDOMISATION
"""The test whose corrected p decides, for it assumes nothing about values that are 0 or 1; the t-test is told beside it."""


@dataclass(frozen=True)
class FusedSystem:
    """Systems of one fusion and label differ in alpha alone."""

    name: str
    fusion: str
    alpha: float
    label: str = ""

    @property
    def family(self) -> str:
        return f"{self.fusion}, {self.label}" if self.label else self.fusion


@dataclass(frozen=True)
class MovedQuery:
    """Ranks are of the best placed relevant passage, and None beyond the depth of the ranking. By language: `questions` that
    were generated for that passage, `passages` that were written for the query."""

    query_id: str
    language: str
    query: str
    gold_passage_title: str
    gold_passage_text: str
    rank_before: int | None
    rank_after: int | None
    questions: Mapping[str, Sequence[str]]
    passages: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def rose(self) -> bool:
        return self.rank_after is not None and (self.rank_before is None or self.rank_after < self.rank_before)


@dataclass(frozen=True)
class Report:
    """`systems` has the baseline first, and `comparisons` each of the others against it by every metric. `fused` tells what a
    system's name stands for; systems without an alpha are not in it. `moved` went from baseline to `moved_system`, in
    rankings of `depth` passages."""

    title: str
    subtitle: str
    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    headline_metric: str
    means: Mapping[str, Mapping[str, Means]]
    comparisons: Sequence[Comparison]
    fused: Sequence[FusedSystem] = ()
    moved: Sequence[MovedQuery] = ()
    moved_system: str = ""
    depth: int = 100
    warnings: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        assert self.headline_metric in self.metrics, "the headline is one of the metrics"
        for system in self.systems[1:]:
            for metric in self.metrics:
                assert (metric, system, MACRO) in self._comparisons, f"{system} is compared with the baseline by {metric}"
        assert {fused.name for fused in self.fused} <= set(self.systems[1:]), "a fused system is one of the systems"

    @property
    def baseline(self) -> str:
        return self.systems[0]

    @cached_property
    def _comparisons(self) -> dict[tuple[str, str, str], Comparison]:
        return {(each.metric, each.system, each.language): each for each in self.comparisons}

    def comparison(self, system: str, metric: str, language: str = MACRO) -> Comparison:
        return self._comparisons[metric, system, language]

    def languages(self, metric: str) -> tuple[str, ...]:
        return tuple(self.means[self.baseline][metric].by_language)

    def groups(self, metric: str) -> tuple[str, ...]:
        """The languages and macro; where there is one language, that is all there is."""
        languages = self.languages(metric)
        return (*languages, MACRO) if len(languages) > 1 else languages

    def value(self, system: str, metric: str, language: str = MACRO) -> float:
        return self.means[system][metric].as_json()[language]


@dataclass(frozen=True)
class AlphaCurve:
    """The values at ascending alphas, or along another `axis`. `lower` and `upper` are the baseline's value plus the ends of
    the difference's confidence interval: where they leave the baseline outside, the difference has a sign. `repeats` are
    intervals of another kind, over repetitions."""

    family: str
    language: str
    baseline: float | None
    alphas: tuple[float, ...]
    values: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    significant: tuple[bool, ...]
    axis: str = "alpha"
    repeats: tuple[tuple[float, float] | None, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Some of a report's systems, and how they were chosen; `how` is empty where all are shown."""

    systems: tuple[str, ...]
    how: str


def is_significant(comparison: Comparison, test: str = TEST) -> bool:
    """After correction, at the level that belongs to the confidence: 0.05 to 0.95."""
    p = comparison.corrected_p[test]
    return p is not None and p <= 1 - comparison.confidence


def best_system(systems: Sequence[str], means: Mapping[str, Mapping[str, Means]], metric: str) -> str:
    """The highest macro mean; of equals the first."""
    return max(systems, key=lambda system: means[system][metric].macro)


def families(report: Report) -> dict[str, list[FusedSystem]]:
    """By ascending alpha."""
    found: dict[str, list[FusedSystem]] = {}
    for fused in sorted(report.fused, key=lambda fused: fused.alpha):
        found.setdefault(fused.family, []).append(fused)
    return found


def alpha_curves(report: Report, metric: str) -> list[AlphaCurve]:
    """Macro, then each language, of every family that has more than one alpha."""
    return [
        _curve(report, metric, family, members, language)
        for family, members in families(report).items()
        if len(members) > 1
        for language in (MACRO, *report.languages(metric))
    ]


def _curve(report: Report, metric: str, family: str, members: Sequence[FusedSystem], language: str) -> AlphaCurve:
    baseline = report.value(report.baseline, metric, language)
    comparisons = [report.comparison(fused.name, metric, language) for fused in members]
    return AlphaCurve(
        family=family,
        language=language,
        baseline=baseline,
        alphas=tuple(fused.alpha for fused in members),
        values=tuple(report.value(fused.name, metric, language) for fused in members),
        lower=tuple(baseline + comparison.confidence_interval[0] for comparison in comparisons),
        upper=tuple(baseline + comparison.confidence_interval[1] for comparison in comparisons),
        significant=tuple(is_significant(comparison) for comparison in comparisons),
    )


def choose_systems(report: Report, metric: str, most: int = 3) -> Choice:
    """What fits beside the baseline: of each family the alpha with the highest macro mean, and all that fuse nothing; of more
    than `most` those with the highest."""
    fused = {each.name for each in report.fused}
    tried = {best_system([each.name for each in m], report.means, metric): (f, len(m)) for f, m in families(report).items()}
    candidates = [name for name in report.systems[1:] if name not in fused or name in tried]
    ranked = sorted(candidates, key=lambda name: -report.value(name, metric))[:most]
    shown = tuple(name for name in candidates if name in ranked)
    picked = [f"{family}: the best of {count}" for name, (family, count) in tried.items() if name in shown and count > 1]
    how = []
    if picked:
        how.append(
            f"Of each fusion the alpha with the highest macro {metric} on these very queries is shown ({'; '.join(picked)})."
        )
    if len(shown) < len(candidates):
        how.append(f"Of {len(candidates)} candidates the {len(shown)} with the highest macro {metric} are shown.")
    if how:
        how.append(
            "What is chosen on the queries it is reported on looks better than it is; p is corrected for all that was tried."
        )
    return Choice(shown, " ".join(how))


def most_moved(
    ranks_before: Mapping[str, int | None], ranks_after: Mapping[str, int | None], depth: int, most: int
) -> tuple[list[str], list[str]]:
    """The ids of the queries that rose most and of those that fell most, at most `most` each, the farthest first. A rank that
    is None or absent counts as depth + 1. How far is the ratio of the ranks, for 20 to 1 is more to a reader than 100 to 40;
    then their difference, then the id."""
    risen: list[tuple[float, int, str]] = []
    fallen: list[tuple[float, int, str]] = []
    for query_id in {**ranks_before, **ranks_after}:
        before, after = (ranks.get(query_id) or depth + 1 for ranks in (ranks_before, ranks_after))
        if before != after:
            far = (-max(before, after) / min(before, after), -abs(before - after), query_id)
            (risen if after < before else fallen).append(far)
    first, last = ([query_id for _, _, query_id in sorted(moves)[:most]] for moves in (risen, fallen))
    return first, last
