"""Logs a sweep's points."""

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.reporting.report import corrected_p
from xdr.studies.figure import panels
from xdr.studies.findings import could_have_shown, sweep_answer, sweep_findings
from xdr.studies.points import setting_name, setting_text
from xdr.studies.sweep_report import SweepReport


def log_sweep(logger: Logger, report: SweepReport) -> None:
    """Logs each value as `POINT/METRIC/LANGUAGE`, differences and corrected p of macro, a table of points and settings, the
    answer, and the figure."""
    tables = {"sweep": _points(report), "answer": _answer(report), "figure": _figure(report)}
    log_row(logger, _figures(report), {name: table for name, table in tables.items() if table.rows})
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


def _answer(report: SweepReport) -> Table:
    """The sentences of the page."""
    findings = [*could_have_shown(report), *sweep_findings(report)]
    return Table(
        ("question", "answer", "findings"), [[report.settings.question or "", sweep_answer(report), " ".join(findings)]]
    )


def _figure(report: SweepReport) -> Table:
    """The lines of all panels, with the ends of the band over queries. A surface stands in the table of points."""
    rows: list[list[Cell]] = []
    axis = ""
    for panel in panels(report):
        for line in panel.lines:
            axis, name = line.axis, ", ".join(filter(None, (panel.name, line.family)))
            rows += [[name, *point] for point in zip(line.positions, line.values, line.lower, line.upper, strict=True)]
    return Table(("line", axis, report.metric, "lower", "upper"), rows, (axis, report.metric, "line"))
