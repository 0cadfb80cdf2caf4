"""The sentences of a sweep's report that depend on its values: the answer and further findings."""

from collections.abc import Sequence

from xdr.reporting.report import corrected_p, is_significant
from xdr.reporting.wording import p_phrase, points, signed_points
from xdr.storage.jobs import Job
from xdr.studies.sweep_report import SweepReport

_STATES = ("done", "running", "interrupted", "failed", "waiting")


def sweep_answer(report: SweepReport) -> str:
    """One sentence: which point has the highest value, and whether it differs significantly from its baseline."""
    best = report.best()
    if best is None:
        return f"{len(report.trainings)} settings were trained." if report.trainings else "No job is done yet."
    value = f"{report.metric} is highest for {best.name}: {points(report.value(best.name))}"
    comparison = report.comparison(best.name)
    if comparison is None:
        return f"{value}. There is no baseline to compare it with."
    p = corrected_p(comparison)
    verdict = "significant" if is_significant(comparison) else "not significant"
    verdict = comparison.note if p is None else f"{verdict} after correction over the whole sweep ({p_phrase(p)})"
    difference = f"a difference of {signed_points(comparison.mean_difference)} from {report.reference[best.name]}"
    return f"{value}, {difference}: {verdict}."


def job_counts(jobs: Sequence[Job]) -> str:
    counts = {state: sum(job.state == state for job in jobs) for state in _STATES}
    return f"{len(jobs)} jobs: {', '.join(f'{count} {state}' for state, count in counts.items() if count)}"


def sweep_findings(report: SweepReport) -> list[str]:
    optimistic = "The best point was chosen on these queries, so its score is optimistic; p is corrected for all comparisons."
    return [*([optimistic] if len(report.points) > 2 and report.comparisons else []), *report.warnings()]
