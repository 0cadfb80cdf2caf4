"""What a sweep's points are to a logger."""

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.reporting.report import TEST
from xdr.reporting.sweep import SweepReport
from xdr.reporting.sweep_points import short, told


def log_sweep(logger: Logger, report: SweepReport) -> None:
    """`POINT/METRIC/LANGUAGE`, and differences and corrected p of macro; as a table the points with their settings."""
    values: dict[str, float] = {}
    for point in report.points:
        for metric in report.metrics:
            its = report.means[point.name][metric].as_json()
            values |= {f"{point.name}/{metric}/{language}": value for language, value in its.items()}
            if (comparison := report.comparison(point.name, metric)) is not None:
                values[f"{point.name}/{metric}/difference"] = comparison.mean_difference
                if (p := comparison.corrected_p[TEST]) is not None:
                    values[f"{point.name}/{metric}/corrected_p"] = p
    for run in report.runs:
        values[f"{run.name}/value"] = sum(run.figures) / len(run.figures)
    columns = ("system", *map(short, report.axes), report.metric)
    rows: list[list[Cell]] = [
        [
            point.kind,
            *(told(point.settings[axis]) if axis in point.settings else "" for axis in report.axes),
            report.value(point.name),
        ]
        for point in report.points
    ]
    log_row(logger, values, {"sweep": Table(columns, rows)})
    logger.finalize("success")  # no trainer does it here
