"""What a report says, as plain values: the page, the terminal and W&B show the same. Values and differences are in [0, 1] here
and times 100 wherever they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich import box
from rich.markup import escape
from rich.table import Table

from xdr.evaluation.per_query import MACRO, Means
from xdr.evaluation.significance import RANDOMISATION, T_TEST, Comparison
from xdr.text.languages import LANGUAGES

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
    """Ranks are of the best placed relevant passage, and None beyond the depth of the ranking. `questions` were generated for
    that passage, by language."""

    query_id: str
    language: str
    query: str
    gold_passage_title: str
    gold_passage_text: str
    rank_before: int | None
    rank_after: int | None
    questions: Mapping[str, Sequence[str]]

    @property
    def rose(self) -> bool:
        return self.rank_after is not None and (self.rank_before is None or self.rank_after < self.rank_before)


@dataclass(frozen=True)
class Report:
    """`systems` has the baseline first, and `comparisons` each of the others against it by every metric. `fused` tells what a
    system's name stands for; systems that fuse nothing are not in it. `moved` went from baseline to `moved_system`, in
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


def answer(report: Report) -> str:
    """In one sentence: did the headline metric rise, by how much, is that significant after correction, at which n?"""
    metric, baseline = report.headline_metric, report.means[report.baseline][report.headline_metric]
    over = f"over {len(baseline.by_language)} languages" if len(baseline.by_language) > 1 else _only_language(baseline)
    if len(report.systems) == 1:
        n = f"n = {baseline.num_queries:,}"
        return f"{metric} of {report.baseline} is {points(baseline.macro)} {over} ({n}); nothing was compared with it."
    best = best_system(report.systems[1:], report.means, metric)
    comparison = report.comparison(best, metric)
    before, after = points(baseline.macro), points(report.value(best, metric))
    size = points(abs(comparison.mean_difference))
    size = f"{size} points" if float(size) else "less than 0.1 points"
    change = f"rose by {size}" if comparison.mean_difference > 0 else f"fell by {size}"
    change = f"{change}, from {before} to {after}," if comparison.mean_difference else f"stayed at {before}"
    return f"{metric} {over} {change} with {best} (n = {comparison.n:,}): {_verdict(comparison)}."


def _only_language(means: Means) -> str:
    return f"in {language_name(next(iter(means.by_language)))}"


def _verdict(comparison: Comparison) -> str:
    p, other_p = comparison.corrected_p[TEST], comparison.corrected_p[T_TEST]
    if p is None or comparison.note == "no query differs":
        return comparison.note
    found = "significant after correction" if is_significant(comparison) else "not significant after correction"
    if other_p is None or is_significant(comparison, T_TEST) == is_significant(comparison):
        return f"{found} ({p_phrase(p)})"
    return f"{found} by {TEST} ({p_phrase(p)}), though the {T_TEST} says otherwise ({p_phrase(other_p)})"


def findings(report: Report) -> list[str]:
    """What the answer leaves out, a sentence each: the languages one by one, where no test was possible, and the choice."""
    if len(report.systems) == 1:
        return []
    metric = report.headline_metric
    best = best_system(report.systems[1:], report.means, metric)
    each = [report.comparison(best, metric, language) for language in report.languages(metric)]
    significant = [f"{language_name(c.language)} ({signed_points(c.mean_difference)})" for c in each if is_significant(c)]
    untested = [language_name(c.language) for c in each if c.corrected_p[TEST] is None]
    found = []
    if len(each) > 1:
        where = f"in {len(significant)} of {len(each)}: {', '.join(significant)}" if significant else "in none"
        found.append(f"Language by language the difference is significant {where}.")
    if untested and len(each) > 1:
        found.append(f"No test is possible in {', '.join(untested)}: there is one query, which macro counts as a language.")
    if len(report.systems) > 2:
        others = f"{best} has the highest macro {metric} of the {len(report.systems) - 1} systems beside {report.baseline}"
        found.append(f"{others}, chosen on these very queries, which flatters it; p is corrected for all of them.")
    return found


def as_terminal_table(report: Report, metric: str) -> Table:
    """Languages by systems: each value, its difference from the baseline and the corrected p. At most 100 columns wide."""
    choice = choose_systems(report, metric)
    means = report.means[report.baseline][metric]
    table = Table(
        title=f"{metric} x 100", title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("")
    table.add_column("n", justify="right")
    table.add_column(escape(report.baseline), justify="right", overflow="fold")
    for system in choice.systems:
        table.add_column(escape(system), justify="right", overflow="fold")
    for language in report.groups(metric):
        if language == MACRO:
            table.add_section()
        n = means.num_by_language.get(language, means.num_queries)
        cells = [_terminal_cell(report, system, metric, language) for system in choice.systems]
        table.add_row(group_name(language), f"{n:,}", points(report.value(report.baseline, metric, language)), *cells)
    table.caption = escape("\n".join([*_legend(report, metric, choice), *([choice.how] if choice.how else [])]))
    return table


def _terminal_cell(report: Report, system: str, metric: str, language: str) -> str:
    comparison = report.comparison(system, metric, language)
    value = points(report.value(system, metric, language))
    mark = "*" if is_significant(comparison) else " "
    return f"{value} {signed_points(comparison.mean_difference):>6} {p_text(comparison.corrected_p[TEST]):>5}{mark}"


def _legend(report: Report, metric: str, choice: Choice) -> list[str]:
    if not choice.systems:
        return []
    comparison = report.comparison(choice.systems[0], metric)
    notes = {report.comparison(s, metric, g).note for s in choice.systems for g in report.groups(metric)}
    return [
        f"Each: value, difference from {report.baseline}, corrected p; n queries. {legend(comparison)}",
        *sorted(note for note in notes if note),
    ]


def legend(comparison: Comparison) -> str:
    """What a mark in a table says: the level, the test, the pairing, the correction."""
    level = f"{1 - comparison.confidence:g}"
    return f"* p up to {level}: {TEST}, paired by {comparison.pairing}, corrected over {comparison.family}."


def group_name(language: str) -> str:
    return "Macro mean" if language == MACRO else language_name(language)


def language_name(code: str) -> str:
    return LANGUAGES[code].name if code in LANGUAGES else code


def points(value: float) -> str:
    return f"{100 * value:.1f}"


def signed_points(difference: float) -> str:
    """+1.9, −0.3, 0.0."""
    size = points(abs(difference))
    return size if float(size) == 0 else ("+" if difference > 0 else "\N{MINUS SIGN}") + size


def p_text(p: float | None) -> str:
    """.012; < .001; 1 for 1 alone."""
    if p is None:
        return "none"
    if p >= 0.9995:
        return "1" if p == 1 else ">.999"
    return "<.001" if p < 0.0005 else f"{p:.3f}".removeprefix("0")


def p_phrase(p: float) -> str:
    text = p_text(p)
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"
