"""Logs an evaluation's report: figures to every logger, tables to W&B."""

import json

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.significance import RANDOMISATION, T_TEST
from xdr.reporting.report import Report, alpha_curves, corrected_p, is_significant

TEST_COLUMNS = [f"{p}, {test}" for p in ("p", "corrected p") for test in (RANDOMISATION, T_TEST)]


def log_report(logger: Logger, report: Report) -> None:
    """Logs the whole report as one row."""
    tables = {
        "systems": _systems(report),
        "alpha_curve": _alpha_curve(report),
        "best_control": _best_control(report),
        "coverage": _coverage(report),
        "moved_most": _moved_most(report),
    }
    log_row(logger, _figures(report), {name: table for name, table in tables.items() if table.rows})


def _figures(report: Report) -> dict[str, float]:
    """`SYSTEM/METRIC/LANGUAGE`: the value; with `/difference` and `/corrected_p` appended: the comparison with the baseline;
    with `/over_control` before them, that with the best control; with `/over_noisy_baseline`, that with the baseline on noisy
    queries. `coverage/...`: shares of passages with generated texts."""
    figures = {
        f"{system}/{metric}/{language}": value
        for system in report.systems
        for metric in report.metrics
        for language, value in report.means[system][metric].as_json().items()
    }
    for comparison in report.comparisons:
        name = f"{comparison.system}/{comparison.metric}/{comparison.language}"
        if comparison.baseline != report.baseline:
            name += "/over_control" if comparison.baseline in report.controls else "/over_noisy_baseline"
        figures[f"{name}/difference"] = comparison.mean_difference
        if (p := corrected_p(comparison)) is not None:
            figures[f"{name}/corrected_p"] = p
    if report.coverage is not None:
        balance = report.coverage.balance
        shares = {"passages": report.coverage.passages, "relevant": balance.relevant, "others": balance.others}
        figures |= {f"coverage/{name}": share.value for name, share in shares.items() if share.number}
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
        if comparison.baseline != report.baseline:
            continue
        value = report.value(comparison.system, comparison.metric, comparison.language)
        p_values = [p[test] for p in (comparison.p, comparison.corrected_p) for test in (RANDOMISATION, T_TEST)]
        row: list[Cell] = [comparison.system, comparison.metric, comparison.language, comparison.n, value]
        row += [comparison.mean_difference, *comparison.confidence_interval]
        rows.append([*row, *p_values, is_significant(comparison)])
    columns = ["system", "metric", "language", "n", "value", "difference", "difference from", "difference to"]
    return Table([*columns, *TEST_COLUMNS, "significant"], rows)


def _best_control(report: Report) -> Table:
    """A row for each augmented system, metric and language: its difference from the best control."""
    rows: list[list[Cell]] = [
        [
            comparison.system,
            comparison.baseline,
            comparison.metric,
            comparison.language,
            comparison.n,
            comparison.mean_difference,
            *comparison.confidence_interval,
            *(p[test] for p in (comparison.p, comparison.corrected_p) for test in (RANDOMISATION, T_TEST)),
            is_significant(comparison),
        ]
        for comparison in report.comparisons
        if comparison.baseline in report.controls
    ]
    columns = ["system", "control", "metric", "language", "n", "difference", "difference from", "difference to"]
    return Table([*columns, *TEST_COLUMNS, "significant"], rows)


def _coverage(report: Report) -> Table:
    """A row for each group of passages and for each language of the texts."""
    if report.coverage is None:
        return Table(["passages", "with texts", "of", "share"], [])
    balance = report.coverage.balance
    shares = {"all": report.coverage.passages, "relevant": balance.relevant, "others": balance.others}
    shares |= {f"in {language}": share for language, share in report.coverage.by_language.items()}
    rows: list[list[Cell]] = [[name, share.covered, share.number, share.value] for name, share in shares.items()]
    return Table(["passages", "with texts", "of", "share"], rows)


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
