"""Logs an evaluation's report: figures to every logger, tables to W&B."""

import json

from lightning.pytorch.loggers import Logger

from callbacks.run_rows import Cell, Table
from callbacks.wandb_logger import log_row
from xdr.comparison.noisy import MEAN, WORST
from xdr.comparison.robustness import Robustness
from xdr.comparison.significance import RANDOMISATION, T_TEST, Comparison
from xdr.evaluation.per_query import MACRO
from xdr.reporting.report import Report, alpha_curves, corrected_p, is_significant

TESTED = ["difference", "difference from", "difference to"]
TESTED += [*(f"{p}, {test}" for p in ("p", "corrected p") for test in (RANDOMISATION, T_TEST)), "significant"]


def log_report(logger: Logger, report: Report) -> None:
    """Logs the whole report as one row."""
    tables = {
        "systems": _systems(report),
        "alpha_curve": _alpha_curve(report),
        "best_control": _best_control(report),
        "coverage": _coverage(report),
        "robustness": _robustness(report),
        "recovered": _recovered(report),
        "moved_most": _moved_most(report),
    }
    log_row(logger, _figures(report), {name: table for name, table in tables.items() if table.rows})


def _figures(report: Report) -> dict[str, float]:
    """`SYSTEM/METRIC/LANGUAGE`: the value; with `/difference` and `/corrected_p` appended: the comparison with the baseline;
    with `/over_control` before them, that with the best control; with `/over_noisy_baseline`, that with the baseline on noisy
    queries. `coverage/...`: shares of passages with generated texts. `robustness/...`: what noise costs."""
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
    return figures | (_robustness_figures(report.robustness) if report.robustness is not None else {})


def _robustness_figures(robustness: Robustness) -> dict[str, float]:
    """`robustness/SYSTEM/...`: `drop` and `worst_drop`, also `/relative`; `drop/OPERATOR`; `recovered`; `drop_beside_baseline`.
    What is undefined is left out."""
    figures: dict[str, float | None] = {}
    for system in robustness.systems:
        name = f"robustness/{system}"
        for label, key in ((MEAN, "drop"), (WORST, "worst_drop")):
            figures[f"{name}/{key}"] = robustness.drops[label][system][MACRO].mean_difference
            figures[f"{name}/{key}/relative"] = robustness.relative[label][system].value
        figures[f"{name}/drop/corrected_p"] = corrected_p(robustness.drops[MEAN][system][MACRO])
        for operator, drop in robustness.by_operator.get(system, {}).items():
            figures[f"{name}/drop/{operator}"] = drop.mean_difference
        if system in robustness.recovered:
            beside = robustness.beside_baseline[system][MACRO]
            figures[f"{name}/recovered"] = robustness.recovered[system].value
            figures[f"{name}/drop_beside_baseline"] = beside.mean_difference
            figures[f"{name}/drop_beside_baseline/corrected_p"] = corrected_p(beside)
    return {name: value for name, value in figures.items() if value is not None}


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
        row: list[Cell] = [comparison.system, comparison.metric, comparison.language, comparison.n, value]
        rows.append([*row, *_tested(comparison)])
    return Table(["system", "metric", "language", "n", "value", *TESTED], rows)


def _tested(comparison: Comparison) -> list[Cell]:
    """The cells of the columns `TESTED`."""
    p_values = [p[test] for p in (comparison.p, comparison.corrected_p) for test in (RANDOMISATION, T_TEST)]
    return [comparison.mean_difference, *comparison.confidence_interval, *p_values, is_significant(comparison)]


def _best_control(report: Report) -> Table:
    """A row for each augmented system, metric and language: its difference from the best control."""
    rows: list[list[Cell]] = [
        [
            comparison.system,
            comparison.baseline,
            comparison.metric,
            comparison.language,
            comparison.n,
            *_tested(comparison),
        ]
        for comparison in report.comparisons
        if comparison.baseline in report.controls
    ]
    return Table(["system", "control", "metric", "language", "n", *TESTED], rows)


def _robustness(report: Report) -> Table:
    """A row for each system and language, with noisy minus clean queries; then one for each system and operator."""
    columns = ["system", "language", "operator", "n", "clean", "noisy", "worst", *TESTED]
    if report.robustness is None:
        return Table(columns, [])
    noise, rows = report.robustness, list[list[Cell]]()
    for system, by_language in noise.drops[MEAN].items():
        for language, drop in by_language.items():
            values = [noise.value(system, label, language) for label in ("", MEAN, WORST)]
            rows.append([system, language, None, drop.n, *values, *_tested(drop)])
    for system, by_operator in noise.by_operator.items():
        for operator, drop in by_operator.items():
            rows.append([system, None, operator, drop.n, None, None, None, *_tested(drop)])
    return Table(columns, rows)


def _recovered(report: Report) -> Table:
    """A row for each system beside the baseline: the share that it recovers, and its drop minus the baseline's."""
    columns = ["system", "recovered", "recovered from", "recovered to", *TESTED]
    if report.robustness is None:
        return Table(columns, [])
    noise, rows = report.robustness, list[list[Cell]]()
    for system, ratio in noise.recovered.items():
        low, high = ratio.confidence_interval or (None, None)
        rows.append([system, ratio.value, low, high, *_tested(noise.beside_baseline[system][MACRO])])
    return Table(columns, rows)


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
