"""The sentences of a sweep's report that depend on its values: the answer and further findings."""

from collections.abc import Sequence

from xdr.evaluation.metric_names import counts_ranks
from xdr.reporting.report import corrected_p, is_significant
from xdr.reporting.wording import difference_text, interval_text, p_phrase, unit_text, value_text
from xdr.storage.jobs import Job
from xdr.studies.points import Point, setting_name
from xdr.studies.sweep_report import SweepReport

_STATES = ("done", "running", "interrupted", "failed", "waiting")


def sweep_answer(report: SweepReport) -> str:
    """One sentence: which point is best, and whether it differs significantly from the one that it is compared with."""
    best = report.best()
    if best is None:
        return f"{len(report.trainings)} settings were trained." if report.trainings else "No job is done yet."
    in_words = report.settings.in_words
    value = f"{_claim(report, best)}: {value_text(report.metric, report.value(best.name))}"
    comparison = report.comparison(best.name)
    if comparison is None:
        return f"{value}. There is no baseline to compare it with."
    p = corrected_p(comparison)
    verdict = "significant" if is_significant(comparison) else "not significant"
    verdict = comparison.note if p is None else f"{verdict} after correction over the whole sweep ({p_phrase(p)})"
    reference = report.reference[best.name]
    other = f"{value_text(report.metric, report.value(reference))} of {in_words(_but(reference, best.name))}"
    difference = f"{difference_text(report.metric, comparison.mean_difference)} {unit_text(report.metric)}"
    interval = f"{100 * comparison.confidence:g} % interval {interval_text(comparison)}"
    return f"{value}, against {other}. The difference is {difference} ({interval}): {verdict}."


def _claim(report: SweepReport, best: Point) -> str:
    words, in_words = report.settings.answer, report.settings.in_words
    if words and len(report.eligible) == 1:
        return f"{report.metric} of {in_words(best.name)}"
    if report.elsewhere:
        return f"{report.metric} of {in_words(best.name)}, which was best on the queries of {report.settings.choose_from}"
    highest = f"{report.metric} is {'lowest' if counts_ranks(report.metric) else 'highest'}"
    if words:
        return f"Among {in_words(words)}, {highest} for {in_words(_but(best.name, words))}"
    return f"{highest} for {in_words(best.name)}"


def _but(name: str, words: str) -> str:
    """The name without words that the reader knows."""
    return " ".join(word for word in name.split() if word not in words.split()) or name


def could_have_shown(report: SweepReport) -> list[str]:
    """If the best point does not differ significantly: a sentence about the smallest difference that would have been found."""
    best = report.best()
    comparison = None if best is None else report.comparison(best.name)
    if best is None or comparison is None or is_significant(comparison):
        return []
    smallest = report.smallest_difference(best)
    if smallest is None:
        return []
    size = f"{value_text(report.metric, smallest)} {unit_text(report.metric)}"
    return [f"Without correction, a test at .05 would have found a difference of {size} in 80 % of such samples of queries."]


def job_counts(jobs: Sequence[Job]) -> str:
    counts = {state: sum(job.state == state for job in jobs) for state in _STATES}
    return f"{len(jobs)} jobs: {', '.join(f'{count} {state}' for state, count in counts.items() if count)}"


def sweep_findings(report: SweepReport) -> list[str]:
    """What else must be known to read the answer: what was chosen, and on what."""
    settings = report.settings
    what = ", ".join(map(setting_name, settings.chosen)) or "the best point"
    found = [f"Chosen on the queries of {settings.choose_from}: {what}."] if settings.choose_from else []
    found += [settings.note] if settings.note else []
    is_choice = len(report.eligible) > (1 if settings.answer else 2)
    if is_choice and report.comparisons and not settings.choose_from:
        found.append(
            "The best point was chosen on these queries, so its score is optimistic; p is corrected for all comparisons."
        )
    return [*found, *report.warnings()]
