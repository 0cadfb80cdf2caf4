"""A sweep's report as a page."""

from collections.abc import Sequence

from xdr.comparison.significance import Comparison
from xdr.evaluation.metric_names import counts_ranks
from xdr.reporting.pages import render_page
from xdr.studies import figure, points, surface, sweep_report
from xdr.studies.curves import Slice, slices
from xdr.studies.findings import could_have_shown, job_counts, sweep_answer, sweep_findings
from xdr.studies.points import Point
from xdr.studies.sweep_report import SweepReport


def render_sweep(report: SweepReport, commands: Sequence[str] = ()) -> str:
    """`commands` made the sweep."""
    overrides = [set(job.overrides) for job in report.jobs]
    best = report.best()
    return render_page(
        "sweep.html.jinja",
        figure,
        points,
        surface,
        sweep_report,
        report=report,
        best=best,
        by_language=_by_language(report, best),
        panels=figure.panels(report),
        surfaces=surface.surfaces(report),
        commands=commands,
        answer=sweep_answer(report),
        could_have_shown=could_have_shown(report),
        findings=sweep_findings(report),
        point_axes=_axes(report, report.points),
        training_axes=_axes(report, report.trainings),
        slices={axis: lines for axis, lines in slices(report).items() if _are_shares(lines)},
        job_counts=job_counts(report.jobs),
        common_overrides=set.intersection(*overrides) if len(overrides) > 1 else set(),
        is_finished=all(job.state == "done" for job in report.jobs),
    )


def _by_language(report: SweepReport, best: Point | None) -> list[Comparison]:
    """The comparisons of the best point, if there are several languages. A difference in ranks has no chart."""
    found = [each for each in report.comparisons_by(report.metric) if best is not None and each.system == best.name]
    return found if len(found) > 2 and not counts_ranks(report.metric) else []


def _axes(report: SweepReport, points: Sequence[Point]) -> list[str]:
    return [axis for axis in report.axes if any(axis in point.settings for point in points)]


def _are_shares(lines: Sequence[Slice]) -> bool:
    """Charts show values times 100, so a loss has no chart."""
    return all(0 <= value <= 1 for line in lines for value in line.macro.values)
