"""A sweep's report as a table in the terminal."""

from rich.markup import escape
from rich.table import Table

from xdr.reporting.terminal_table import plain_table, starred_p
from xdr.reporting.wording import points, signed_points
from xdr.studies.findings import job_counts
from xdr.studies.points import Point, setting_name, setting_text
from xdr.studies.sweep_report import SweepReport

MOST_POINTS = 40


def sweep_terminal_table(report: SweepReport) -> Table:
    """The points with their settings, at most the 40 with the highest values, then the trainings."""
    value = f"{report.metric} x 100" if report.points else "value"
    table = plain_table(job_counts(report.jobs), [*map(setting_name, report.axes), value, "difference", "p"])
    highest = sorted(report.points, key=lambda point: -report.value(point.name))[:MOST_POINTS]
    for point in (point for point in report.points if point in highest):
        comparison = report.comparison(point.name)
        tested = [signed_points(comparison.mean_difference), starred_p(comparison)] if comparison else ["", ""]
        table.add_row(escape(point.system), *_settings(report, point), points(report.value(point.name)), *tested)
    for training in report.trainings:
        table.add_row(training.system, *_settings(report, training), f"{training.mean_result:.4g}", "", "")
    if len(highest) < len(report.points):
        table.caption = f"The {len(highest)} highest of {len(report.points)} points. sweep.html has all of them."
    return table


def _settings(report: SweepReport, point: Point) -> list[str]:
    return [escape(setting_text(point.settings[axis])) if axis in point.settings else "" for axis in report.axes]
