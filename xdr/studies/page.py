"""A sweep's report as a page."""

from collections.abc import Sequence

from xdr.reporting.pages import render_page
from xdr.studies import points, sweep_report
from xdr.studies.curves import Slice, slices
from xdr.studies.findings import job_counts, sweep_answer, sweep_findings
from xdr.studies.points import Point
from xdr.studies.sweep_report import SweepReport


def render_sweep(report: SweepReport) -> str:
    overrides = [set(job.overrides) for job in report.jobs]
    return render_page(
        "sweep.html.jinja",
        points,
        sweep_report,
        report=report,
        answer=sweep_answer(report),
        findings=sweep_findings(report),
        point_axes=_axes(report, report.points),
        training_axes=_axes(report, report.trainings),
        slices={axis: lines for axis, lines in slices(report).items() if _are_shares(lines)},
        job_counts=job_counts(report.jobs),
        common_overrides=set.intersection(*overrides) if len(overrides) > 1 else set(),
        is_finished=all(job.state == "done" for job in report.jobs),
    )


def _axes(report: SweepReport, points: Sequence[Point]) -> list[str]:
    return [axis for axis in report.axes if any(axis in point.settings for point in points)]


def _are_shares(lines: Sequence[Slice]) -> bool:
    """Charts show values times 100, so a loss has no chart."""
    return all(0 <= value <= 1 for line in lines for value in line.macro.values)
