"""What came out, in sentences: the answer, and what it leaves out."""

from collections.abc import Sequence

from xdr.evaluation.per_query import Means
from xdr.evaluation.significance import T_TEST, Comparison
from xdr.reporting.report import TEST, Report, best_system, is_significant
from xdr.reporting.wording import group_name, language_name, p_phrase, points, signed_points


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


def notes(report: Report, metric: str, systems: Sequence[str]) -> list[str]:
    """Why a p is missing or no surprise; systems are named where it does not go for all."""
    where: dict[tuple[str, str], list[str]] = {}
    for language in report.groups(metric):
        for system in systems:
            if note := report.comparison(system, metric, language).note:
                where.setdefault((language, note), []).append(system)
    return [
        f"{group_name(language)}{'' if len(of) == len(systems) else ' with ' + ' and '.join(of)}: {note}."
        for (language, note), of in where.items()
    ]
