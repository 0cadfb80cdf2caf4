"""The content of an evaluation's report as plain values, which the page, the terminal and W&B show. Values and differences are
in [0, 1] here; reports show them times 100."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from xdr.comparison.robustness import Robustness
from xdr.comparison.significance import RANDOMISATION, Comparison
from xdr.evaluation.coverage import Coverage
from xdr.evaluation.per_query import MACRO, Means

TEST = RANDOMISATION
"""Decides what is significant, since it assumes nothing about values that are 0 or 1. The t-test is reported beside it."""


@dataclass(frozen=True)
class FusedSystem:
    """A system with an alpha. The systems of a family, one fusion and label, differ only in alpha."""

    name: str
    fusion: str
    alpha: float
    label: str = ""

    @property
    def family(self) -> str:
        return f"{self.fusion}, {self.label}" if self.label else self.fusion


@dataclass(frozen=True)
class MovedQuery:
    """A query whose best ranked relevant passage has another rank in another system. A rank is None beyond the ranking's depth.
    `questions` are the queries generated from that passage, `passages` the passages generated from the query, by language."""

    query_id: str
    language: str
    query: str
    relevant_title: str
    relevant_text: str
    rank_before: int | None
    rank_after: int | None
    questions: Mapping[str, Sequence[str]]
    passages: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def rose(self) -> bool:
        return self.rank_after is not None and (self.rank_before is None or self.rank_after < self.rank_before)

    @property
    def other_questions(self) -> dict[str, Sequence[str]]:
        """The generated queries in other languages than the query's."""
        return {code: texts for code, texts in sorted(self.questions.items()) if texts and code != self.language}


@dataclass(frozen=True)
class Report:
    """`systems` starts with the baseline, and `comparisons` compare each of the others with it by every metric. Further
    comparisons are those of `augmented` systems with the best of the `controls`, and of systems on noisy queries (`noisy`) with
    the baseline on noisy queries. `fused` lists the systems that have an alpha.
    `moved` are the queries whose ranks differ most between the baseline and `moved_system`, in rankings of `depth` passages."""

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
    augmented: Sequence[str] = ()
    controls: Sequence[str] = ()
    noisy: Sequence[str] = ()
    coverage: Coverage | None = None
    robustness: Robustness | None = None

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
        of_baseline = [comparison for comparison in self.comparisons if comparison.baseline == self.baseline]
        return {(comparison.metric, comparison.system, comparison.language): comparison for comparison in of_baseline}

    @cached_property
    def _with_controls(self) -> dict[tuple[str, str, str], Comparison]:
        of_controls = [comparison for comparison in self.comparisons if comparison.baseline in self.controls]
        return {(comparison.metric, comparison.system, comparison.language): comparison for comparison in of_controls}

    def comparison(self, system: str, metric: str, language: str = MACRO) -> Comparison:
        return self._comparisons[metric, system, language]

    def with_control(self, system: str, metric: str, language: str = MACRO) -> Comparison | None:
        """The comparison with the best control, if the system is augmented and there are controls."""
        return self._with_controls.get((metric, system, language))

    def best_control(self, metric: str) -> str | None:
        """The control that augmented systems are compared with."""
        return next((comparison.baseline for key, comparison in self._with_controls.items() if key[0] == metric), None)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The systems that an answer is about: those that are no controls, or the controls where there is nothing else; or the
        baseline on noisy queries."""
        others = tuple(system for system in self.systems[1:] if system not in self.noisy)
        return tuple(system for system in others if system not in self.controls) or others or tuple(self.noisy[:1])

    def languages(self, metric: str) -> tuple[str, ...]:
        return tuple(self.means[self.baseline][metric].by_language)

    def groups(self, metric: str) -> tuple[str, ...]:
        """The rows of a table: the languages, then macro if there are several."""
        languages = self.languages(metric)
        return (*languages, MACRO) if len(languages) > 1 else languages

    def value(self, system: str, metric: str, language: str = MACRO) -> float:
        return self.means[system][metric].as_json()[language]


@dataclass(frozen=True)
class Curve:
    """A metric along an axis, at ascending positions: along alpha, or along another setting of a sweep. `lower` and `upper` are
    the baseline's value plus the ends of the difference's confidence interval: they exclude the baseline where the interval
    excludes 0. `seed_intervals` are intervals over repetitions with other seeds, if there are any."""

    family: str
    language: str
    axis: str
    baseline: float | None
    positions: tuple[float, ...]
    values: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    significant: tuple[bool, ...]
    seed_intervals: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True)
class Choice:
    """The systems that a table shows, and a note on how they were chosen. The note is empty if all are shown."""

    systems: tuple[str, ...]
    note: str


def corrected_p(comparison: Comparison) -> float | None:
    """The p that decides, or None if no test is possible."""
    return comparison.corrected_p[TEST]


def is_significant(comparison: Comparison, test: str = TEST) -> bool:
    """After correction, at a level of 1 minus the confidence."""
    p = comparison.corrected_p[test]
    return p is not None and p <= 1 - comparison.confidence


def best_system(systems: Sequence[str], means: Mapping[str, Mapping[str, Means]], metric: str) -> str:
    """The system with the highest macro mean, the first of several."""
    return max(systems, key=lambda system: means[system][metric].macro)


def families(report: Report) -> dict[str, list[FusedSystem]]:
    """The fused systems by family, with ascending alphas."""
    members: dict[str, list[FusedSystem]] = {}
    for fused in sorted(report.fused, key=lambda fused: fused.alpha):
        members.setdefault(fused.family, []).append(fused)
    return members


def alpha_curves(report: Report, metric: str) -> list[Curve]:
    """The curves of macro, then of each language, for every family with more than one alpha."""
    return [
        _curve(report, metric, family, members, language)
        for family, members in families(report).items()
        if len(members) > 1
        for language in (MACRO, *report.languages(metric))
    ]


def _curve(report: Report, metric: str, family: str, members: Sequence[FusedSystem], language: str) -> Curve:
    baseline = report.value(report.baseline, metric, language)
    comparisons = [report.comparison(fused.name, metric, language) for fused in members]
    return Curve(
        family=family,
        language=language,
        axis="alpha",
        baseline=baseline,
        positions=tuple(fused.alpha for fused in members),
        values=tuple(report.value(fused.name, metric, language) for fused in members),
        lower=tuple(baseline + comparison.confidence_interval[0] for comparison in comparisons),
        upper=tuple(baseline + comparison.confidence_interval[1] for comparison in comparisons),
        significant=tuple(is_significant(comparison) for comparison in comparisons),
        seed_intervals=(None,) * len(members),
    )


def choose_systems(report: Report, metric: str, most: int = 3) -> Choice:
    """At most `most` systems, those with the highest macro means: of each family only the best alpha, all systems without an
    alpha, and of the controls only the best. If there are none: the baseline on noisy queries."""
    fused = {system.name for system in report.fused}
    controls = set(report.controls) if report.augmented else set()
    controls -= {best_system(report.controls, report.means, metric)} if controls else set()
    best = {best_system([one.name for one in members], report.means, metric): members for members in families(report).values()}
    left_out = {*controls, *report.noisy}
    candidates = [name for name in report.systems[1:] if name not in left_out and (name not in fused or name in best)]
    ranked = sorted(candidates, key=lambda name: -report.value(name, metric))[:most]
    shown = tuple(name for name in candidates if name in ranked)
    chosen = [members for name, members in best.items() if name in shown and len(members) > 1]
    note = _choice_note(metric, chosen, len(shown), len(candidates))
    return Choice(shown or tuple(report.noisy), note)


def control_rows(report: Report, metric: str, most: int = 12) -> list[str]:
    """The augmented systems with the highest macro means, best first."""
    with_control = [system for system in report.augmented if report.with_control(system, metric) is not None]
    return sorted(with_control, key=lambda system: -report.value(system, metric))[:most]


def _choice_note(metric: str, chosen: Sequence[Sequence[FusedSystem]], num_shown: int, num_candidates: int) -> str:
    """`chosen` are the families of which one of several alphas is shown."""
    sentences = []
    if chosen:
        counts = "; ".join(f"{members[0].family}: best of {len(members)}" for members in chosen)
        sentences.append(f"For each fusion, the alpha with the highest macro {metric} is shown ({counts}).")
    if num_shown < num_candidates:
        verb = "is" if num_shown == 1 else "are"
        sentences.append(f"Of {num_candidates} candidates, the {num_shown} with the highest macro {metric} {verb} shown.")
    if sentences:
        subject, scores = "Alpha was" if chosen else "They were", "this score is" if num_shown == 1 else "these scores are"
        sentences.append(f"{subject} chosen on these queries, so {scores} optimistic; p is corrected for all systems.")
    return " ".join(sentences)


def most_moved(
    ranks_before: Mapping[str, int | None], ranks_after: Mapping[str, int | None], depth: int, most: int
) -> tuple[list[str], list[str]]:
    """The ids of the queries that rose most and of those that fell most, at most `most` each, largest changes first. A rank
    that is None or absent counts as depth + 1. Queries are ordered by the ratio of their ranks, since 20 to 1 matters more to
    a reader than 100 to 40, then by the difference, then by id."""
    risen: list[tuple[float, int, str]] = []
    fallen: list[tuple[float, int, str]] = []
    for query_id in {**ranks_before, **ranks_after}:
        before, after = (ranks.get(query_id) or depth + 1 for ranks in (ranks_before, ranks_after))
        if before != after:
            change = (-max(before, after) / min(before, after), -abs(before - after), query_id)
            (risen if after < before else fallen).append(change)
    first, last = ([query_id for _, _, query_id in sorted(changes)[:most]] for changes in (risen, fallen))
    return first, last
