"""A sweep's report as files: a page, and a table for other programs."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xdr.evaluation.per_query import MACRO
from xdr.reporting.report import TEST, corrected_p
from xdr.storage.files import replacing_file
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import is_sweep, job_of, read_listing
from xdr.studies.page import render_sweep
from xdr.studies.points import CHECKPOINT, Point, setting_text
from xdr.studies.sweep_report import SweepReport, repeat_values, seed_interval


def write_sweep(report: SweepReport, folder: Path) -> None:
    """sweep.html and sweep.parquet."""
    commands = commands_of(folder, report)
    with replacing_file(folder / "sweep.html") as partial:
        partial.write_text(render_sweep(report, commands), encoding="utf-8")
    with replacing_file(folder / "sweep.parquet") as partial:
        pq.write_table(sweep_table(report), partial, compression="zstd")


def commands_of(folder: Path, report: SweepReport) -> list[str]:
    """The commands of the trainings of the checkpoints, of the sweep of sweep.choose_from, of this sweep, and of this page."""
    checkpoints = dict.fromkeys(str(job.settings.get(CHECKPOINT)) for job in report.jobs)
    trainings = [job.folder.parent for checkpoint in checkpoints if (job := job_of(Path(checkpoint).expanduser()))]
    chosen = report.settings.choose_from
    sweeps = dict.fromkeys([*trainings, *([Path(chosen)] if chosen else []), folder])
    commands = [read_listing(sweep)["command"] for sweep in sweeps if is_sweep(sweep)]
    return [*filter(None, commands), f"python evaluate.py stage=sweep output_dir={folder}"]


def sweep_table(report: SweepReport) -> pa.Table:
    """A row for each point, metric and language (and macro), and one for each training. Each setting that the sweep varies is a
    column, which holds numbers if all its values are numbers."""
    rows = [
        _row(report, point, metric, language)
        for point in report.points
        for metric in report.metrics
        for language in (*report.means[point.name][metric].by_language, MACRO)
    ]
    rows += [_training_row(report, training) for training in report.trainings]
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
        columns[name] = pa.array([value if numbers or value is None else setting_text(value) for value in values])
    return pa.table(columns)


def _row(report: SweepReport, point: Point, metric: str, language: str) -> dict[str, Json]:
    means = report.means[point.name][metric]
    row: dict[str, Json] = {"point": point.name, "system": point.system, **point.settings, "jobs": " ".join(point.jobs)}
    row |= {"metric": metric, "lang": language, "value": report.value(point.name, metric, language)}
    row |= {"n": means.num_by_language.get(language, means.num_queries)}
    row |= _repeats(report, repeat_values(report, point, metric, language))
    comparison = report.comparison(point.name, metric, language)
    if comparison is not None:
        low, high = comparison.confidence_interval
        row |= {"baseline": comparison.baseline, "difference": comparison.mean_difference, "low": low, "high": high}
        row |= {"p": comparison.p[TEST], "corrected_p": corrected_p(comparison)}
    return row


def _training_row(report: SweepReport, training: Point) -> dict[str, Json]:
    row: dict[str, Json] = {"point": training.name, "system": training.system, **training.settings}
    row |= {"jobs": " ".join(training.jobs), "metric": "value", "value": training.mean_result}
    return row | _repeats(report, training.results)


def _repeats(report: SweepReport, values: Sequence[float]) -> dict[str, Json]:
    interval = seed_interval(values, report.testing.confidence)
    return {"repeats": len(values), "repeats_low": interval and interval[0], "repeats_high": interval and interval[1]}
