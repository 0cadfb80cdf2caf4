"""An evaluation's report as the logger takes it: figures for all loggers, tables for W&B."""

import json

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.significance import RANDOMISATION, T_TEST
from xdr.reporting.report import Report, alpha_curves, is_significant


def log_report(logger: Logger, report: Report) -> None:
    """All of it as one row."""
    tables = {
        "systems": _systems(report),
        "alpha_curve": _alpha_curve(report),
        "moved_most": _moved_most(report),
    }
    log_row(logger, _figures(report), {name: table for name, table in tables.items() if table.rows})


def _figures(report: Report) -> dict[str, float]:
    """`SYSTEM/METRIC/LANGUAGE`, and its difference from the baseline and corrected p."""
    figures = {
        f"{system}/{metric}/{language}": value
        for system in report.systems
        for metric in report.metrics
        for language, value in report.means[system][metric].as_json().items()
    }
    for each in report.comparisons:
        name = f"{each.system}/{each.metric}/{each.language}"
        figures[f"{name}/difference"] = each.mean_difference
        corrected = each.corrected_p[RANDOMISATION]
        if corrected is not None:
            figures[f"{name}/corrected_p"] = corrected
    return figures


def _systems(report: Report) -> Table:
    """A line for each system, metric and language; the baseline's have no difference."""
    lines: list[list[Cell]] = []
    for metric in report.metrics:
        means = report.means[report.baseline][metric]
        for language in (*report.languages(metric), MACRO):
            n = means.num_by_language.get(language, means.num_queries)
            lines.append([report.baseline, metric, language, n, report.value(report.baseline, metric, language), *[None] * 8])
    for each in report.comparisons:
        value = report.value(each.system, each.metric, each.language)
        tested = [of[test] for of in (each.p, each.corrected_p) for test in (RANDOMISATION, T_TEST)]
        line: list[Cell] = [each.system, each.metric, each.language, each.n, value]
        line += [each.mean_difference, *each.confidence_interval]
        lines.append([*line, *tested, is_significant(each)])
    columns = ["system", "metric", "language", "n", "value", "difference", "difference from", "difference to"]
    tests = [f"{p}, {test}" for p in ("p", "corrected p") for test in (RANDOMISATION, T_TEST)]
    return Table([*columns, *tests, "significant"], lines)


def _alpha_curve(report: Report) -> Table:
    """Of the headline metric. `lower` and `upper` as in the report: the baseline plus the ends of the difference's interval."""
    metric = report.headline_metric
    lines: list[list[Cell]] = []
    for curve in alpha_curves(report, metric):
        of = (f"{curve.family}, {curve.language}", curve.family, curve.language)
        lines.append([*of, 0.0, curve.baseline, curve.baseline, curve.baseline, False])
        for point in zip(curve.alphas, curve.values, curve.lower, curve.upper, curve.significant, strict=True):
            lines.append([*of, *point])
    columns = ["curve", "fusion", "language", "alpha", metric, "lower", "upper", "significant"]
    return Table(columns, lines, ("alpha", metric, "curve"))


def _moved_most(report: Report) -> Table:
    columns = ["query id", "language", "query", "passage", "text", "rank before", "rank after", "questions", "passages"]
    lines = [
        [
            moved.query_id,
            moved.language,
            moved.query,
            moved.gold_passage_title,
            moved.gold_passage_text,
            moved.rank_before,
            moved.rank_after,
            *(
                json.dumps({code: list(its) for code, its in written.items()}, ensure_ascii=False)
                for written in (moved.questions, moved.passages)
            ),
        ]
        for moved in report.moved
    ]
    return Table(columns, lines)
