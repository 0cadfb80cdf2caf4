"""A sweep's points as a table: for other programs, and for the terminal."""

from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.markup import escape
from rich.table import Table

from xdr.evaluation.per_query import MACRO
from xdr.reporting.report import TEST, is_significant
from xdr.reporting.sweep import SweepReport, over_repeats, repeat_values
from xdr.reporting.sweep_html import render_sweep, states_told
from xdr.reporting.sweep_points import Point, short, told
from xdr.reporting.wording import p_text, points, signed_points
from xdr.storage.files import replacing_file
from xdr.storage.fingerprint import Json

MOST_ROWS = 40


def write_sweep(report: SweepReport, folder: Path) -> None:
    """sweep.html and sweep.parquet."""
    with replacing_file(folder / "sweep.html") as partial:
        partial.write_text(render_sweep(report), encoding="utf-8")
    with replacing_file(folder / "sweep.parquet") as partial:
        pq.write_table(as_table(report), partial, compression="zstd")


def as_table(report: SweepReport) -> pa.Table:
    """A row for each point, metric and language (and macro); of train.py's runs one each. A setting that the sweep varies is a
    column of its own, of numbers where it is one everywhere."""
    rows = [
        _row(report, point, metric, language)
        for point in report.points
        for metric in report.metrics
        for language in (*report.means[point.name][metric].by_language, MACRO)
    ]
    rows += [_run(report, run) for run in report.runs]
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
        columns[name] = pa.array([value if numbers or value is None else told(value) for value in values])
    return pa.table(columns)


def _row(report: SweepReport, point: Point, metric: str, language: str) -> dict[str, Json]:
    its = report.means[point.name][metric]
    row: dict[str, Json] = {"point": point.name, "system": point.kind, **point.settings, "jobs": " ".join(point.jobs)}
    row |= {"metric": metric, "lang": language, "value": report.value(point.name, metric, language)}
    row |= {"n": its.num_by_language.get(language, its.num_queries)}
    row |= _repeats(report, repeat_values(report, point, metric, language))
    comparison = report.comparison(point.name, metric, language)
    if comparison is not None:
        low, high = comparison.confidence_interval
        row |= {"baseline": comparison.baseline, "difference": comparison.mean_difference, "low": low, "high": high}
        row |= {"p": comparison.p[TEST], "corrected_p": comparison.corrected_p[TEST]}
    return row


def _run(report: SweepReport, run: Point) -> dict[str, Json]:
    row: dict[str, Json] = {"point": run.name, "system": run.kind, **run.settings, "jobs": " ".join(run.jobs)}
    return row | {"metric": "value", "value": fmean(run.figures)} | _repeats(report, list(run.figures))


def _repeats(report: SweepReport, values: list[float]) -> dict[str, Json]:
    interval = over_repeats(values, report.testing.confidence)
    return {"repeats": len(values), "repeats_low": interval and interval[0], "repeats_high": interval and interval[1]}


def as_terminal_table(report: SweepReport) -> Table:
    """The points, or of train.py the runs, with what was varied; the highest where there are many."""
    axes = report.axes
    table = Table(title=_title(report), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for name in (*(short(axis) for axis in axes), f"{report.metric} x 100" if report.points else "value", "difference", "p"):
        table.add_column(escape(name), justify="right", overflow="fold")
    shown = sorted(report.points, key=lambda point: -report.value(point.name))[:MOST_ROWS]
    for point in (point for point in report.points if point in shown):
        comparison = report.comparison(point.name)
        difference, p = "", ""
        if comparison is not None:
            difference = signed_points(comparison.mean_difference)
            p = p_text(comparison.corrected_p[TEST]) + ("*" if is_significant(comparison) else " ")
        table.add_row(escape(point.kind), *_settings(point, axes), points(report.value(point.name)), difference, p)
    for run in report.runs:
        table.add_row(run.kind, *_settings(run, axes), f"{fmean(run.figures):.4g}", "", "")
    if len(shown) < len(report.points):
        table.caption = f"The {len(shown)} highest of {len(report.points)} points; all are in sweep.html."
    return table


def _title(report: SweepReport) -> str:
    return escape(states_told(report.jobs))


def _settings(point: Point, axes: tuple[str, ...]) -> list[str]:
    return [escape(told(point.settings[axis])) if axis in point.settings else "" for axis in axes]
