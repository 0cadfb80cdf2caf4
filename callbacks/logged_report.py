"""Logs an evaluation's report: figures to every logger, tables to W&B."""

import json

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.significance import RANDOMISATION, T_TEST
from xdr.reporting.report import Report, alpha_curves, corrected_p, is_significant


def log_report(logger: Logger, report: Report) -> None:
    """Logs the whole report as one row."""
    tables = {
        "systems": _systems(report),
        "alpha_curve": _alpha_curve(report),
        "moved_most": _moved_most(report),
    }
    log_row(logger, _figures(report), {name: table for name, table in tables.items() if table.rows})


def _figures(report: Report) -> dict[str, float]:
    """`SYSTEM/METRIC/LANGUAGE`: the value; with `/difference` and `/corrected_p` appended: the comparison with the baseline."""
    figures = {
        f"{system}/{metric}/{language}": value
        for system in report.systems
        for metric in report.metrics
        for language, value in report.means[system][metric].as_json().items()
    }
    for comparison in report.comparisons:
        name = f"{comparison.system}/{comparison.metric}/{comparison.language}"
        figures[f"{name}/difference"] = comparison.mean_difference
        if (p := corrected_p(comparison)) is not None:
            figures[f"{name}/corrected_p"] = p
    return figures


def _systems(report: Report) -> Table:
    """A row for each system, metric and language. Those of the baseline have no difference."""
    rows: list[list[Cell]] = []
    for metric in report.metrics:
        means = report.means[report.baseline][metric]
        for language in (*report.languages(metric), MACRO):
            n = means.num_by_language.get(language, means.num_queries)
            rows.append([report.baseline, metric, language, n, report.value(report.baseline, metric, language), *[None] * 8])
    for comparison in report.comparisons:
        value = report.value(comparison.system, comparison.metric, comparison.language)
        p_values = [p[test] for p in (comparison.p, comparison.corrected_p) for test in (RANDOMISATION, T_TEST)]
        row: list[Cell] = [comparison.system, comparison.metric, comparison.language, comparison.n, value]
        row += [comparison.mean_difference, *comparison.confidence_interval]
        rows.append([*row, *p_values, is_significant(comparison)])
    columns = ["system", "metric", "language", "n", "value", "difference", "difference from", "difference to"]
    tests = [f"{p}, {test}" for p in ("p", "corrected p") for test in (RANDOMISATION, T_TEST)]
    return Table([*columns, *tests, "significant"], rows)


def _alpha_curve(report: Report) -> Table:
    """The headline metric. `lower` and `upper` are the baseline's value plus the ends of the difference's interval."""
    metric = report.headline_metric
    rows: list[list[Cell]] = []
    for curve in alpha_curves(report, metric):
        name = (f"{curve.family}, {curve.language}", curve.family, curve.language)
        rows.append([*name, 0.0, curve.baseline, curve.baseline, curve.baseline, False])
        for point in zip(curve.positions, curve.values, curve.lower, curve.upper, curve.significant, strict=True):
            rows.append([*name, *point])
    columns = ["curve", "fusion", "language", "alpha", metric, "lower", "upper", "significant"]
    return Table(columns, rows, ("alpha", metric, "curve"))


def _moved_most(report: Report) -> Table:
    columns = ["query id", "language", "query", "passage", "text", "rank before", "rank after", "questions", "passages"]
    rows = [
        [
            query.query_id,
            query.language,
            query.query,
            query.relevant_title,
            query.relevant_text,
            query.rank_before,
            query.rank_after,
            *(
                json.dumps({code: list(texts) for code, texts in generated.items()}, ensure_ascii=False)
                for generated in (query.questions, query.passages)
            ),
        ]
        for query in report.moved
    ]
    return Table(columns, rows)
