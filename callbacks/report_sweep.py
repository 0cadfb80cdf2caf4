"""Logs a sweep's points."""

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.reporting.report import corrected_p
from xdr.studies.points import setting_name, setting_text
from xdr.studies.sweep_report import SweepReport


def log_sweep(logger: Logger, report: SweepReport) -> None:
    """Logs each value as `POINT/METRIC/LANGUAGE`, differences and corrected p of macro, and a table of points and settings."""
    log_row(logger, _figures(report), {"sweep": _points(report)})
    logger.finalize("success")  # without a trainer nobody else does


def _figures(report: SweepReport) -> dict[str, float]:
    figures: dict[str, float] = {}
    for point in report.points:
        for metric in report.metrics:
            means = report.means[point.name][metric].as_json()
            figures |= {f"{point.name}/{metric}/{language}": value for language, value in means.items()}
            if (comparison := report.comparison(point.name, metric)) is not None:
                figures[f"{point.name}/{metric}/difference"] = comparison.mean_difference
                if (p := corrected_p(comparison)) is not None:
                    figures[f"{point.name}/{metric}/corrected_p"] = p
    return figures | {f"{training.name}/value": training.mean_result for training in report.trainings}


def _points(report: SweepReport) -> Table:
    rows: list[list[Cell]] = [
        [
            point.system,
            *(setting_text(point.settings[axis]) if axis in point.settings else "" for axis in report.axes),
            report.value(point.name),
        ]
        for point in report.points
    ]
    return Table(("system", *map(setting_name, report.axes), report.metric), rows)
