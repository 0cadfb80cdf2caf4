"""A report's tables: by language, all systems, every comparison."""

from collections.abc import Sequence

from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.significance import RANDOMISATION, T_TEST, Comparison
from xdr.reporting.charts import side
from xdr.reporting.findings import notes
from xdr.reporting.markup import element, escaped
from xdr.reporting.page import cell, header, table
from xdr.reporting.report import TEST, Choice, Report, is_significant
from xdr.reporting.wording import difference_text, group_name, legend, p_text, scale_text, signed_points, value_text


def language_table(report: Report, metric: str, choice: Choice) -> str:
    means = report.means[report.baseline][metric]
    top = [header(name, "col", rowspan=2 if choice.systems else 1) for name in ("Language", "n", report.baseline)]
    top += [header(system, "colgroup", colspan=3) for system in choice.systems]
    names = (header(name, "col", class_=class_) for name, class_ in (("value", "first"), ("difference", ""), ("p", "")))
    second = "".join(names) * len(choice.systems)
    rows = [
        _language_row(report, metric, choice.systems, language, means.num_by_language.get(language, means.num_queries))
        for language in report.groups(metric)
    ]
    if MACRO in report.groups(metric):
        rows.append(_micro_row(report, metric, choice.systems))
    head = element("tr", *top) + (element("tr", second) if choice.systems else "")
    return table(head, rows, f"{metric} by language", _caption(report, metric, choice.systems))


def _caption(report: Report, metric: str, systems: Sequence[str]) -> str:
    said = [f"{metric}, {scale_text(metric)}."]
    if len(report.languages(metric)) > 1:
        said.append("The macro mean is of languages, the micro mean of queries.")
    if systems:
        unit = "ranks" if counts_ranks(metric) else "points"
        said.append(f"Differences are from {report.baseline}, in {unit}. {legend(report.comparison(systems[0], metric))}")
    if left_out := report.means[report.baseline][metric].left_out:
        said.append(f"Without a value, and left out: {left_out:,} queries.")
    return " ".join([*said, *notes(report, metric, systems)])


def _language_row(report: Report, metric: str, systems: Sequence[str], language: str, n: int) -> str:
    cells = [
        header(group_name(language), "row"),
        cell(f"{n:,}", "n"),
        cell(value_text(metric, report.value(report.baseline, metric, language))),
    ]
    for system in systems:
        comparison = report.comparison(system, metric, language)
        cells += [cell(value_text(metric, report.value(system, metric, language)), "first"), *tested(comparison)]
    return element("tr", *cells, class_="sum" if language == MACRO else "language")


def tested(comparison: Comparison) -> list[str]:
    """The difference and its p, marked where significant."""
    significant = is_significant(comparison)
    marked = f" significant {side(comparison)}" if significant else ""
    star = f'<span class="star">{"*" if significant else ""}</span>'
    return [
        cell(difference_text(comparison.metric, comparison.mean_difference), "difference" + marked),
        element("td", escaped(p_text(comparison.corrected_p[TEST])), star, class_="p" + marked),
    ]


def _micro_row(report: Report, metric: str, systems: Sequence[str]) -> str:
    """Not tested, so it has no p."""
    before = report.means[report.baseline][metric]
    cells = [header("Micro mean", "row"), cell(f"{before.num_queries:,}", "n"), cell(value_text(metric, before.micro))]
    for system in systems:
        micro = report.means[system][metric].micro
        difference = difference_text(metric, micro - before.micro)
        cells += [cell(value_text(metric, micro), "first"), cell(difference, "difference"), cell("")]
    return element("tr", *cells, class_="sum micro")


def system_table(report: Report) -> str:
    head = header("System", "col") + "".join(header(metric, "col", colspan=3) for metric in report.metrics)
    rows = []
    for system in report.systems:
        cells = [header(system, "row")]
        for metric in report.metrics:
            more = [cell(""), cell("")] if system == report.baseline else tested(report.comparison(system, metric))
            cells += [cell(value_text(metric, report.value(system, metric)), "first"), *more]
        rows.append(element("tr", *cells))
    scales = ", ".join(f"{metric} {scale_text(metric)}" for metric in report.metrics if counts_ranks(metric))
    caption = f"Macro means, times 100{scales and f' (but {scales})'}; differences from the baseline; corrected p."
    return table(element("tr", head), rows, "All systems", caption)


def comparison_table(report: Report) -> str:
    names = (
        "System",
        "Language",
        "n",
        "difference",
        "interval",
        RANDOMISATION,
        "corrected",
        T_TEST,
        "corrected",
        "effect size",
        "",
    )
    head = "".join(header(name, "col", class_="words" if name == "Language" else "") for name in names)
    rows = []
    for each in report.comparisons:
        if each.metric == report.headline_metric:
            low, high = map(signed_points, each.confidence_interval)
            p = (p_text(of_test[test]) for test in (RANDOMISATION, T_TEST) for of_test in (each.p, each.corrected_p))
            effect = "none" if each.effect_size is None else f"{each.effect_size:.2f}".replace("-", "\N{MINUS SIGN}")
            cells = [cell(f"{each.n:,}", "n"), cell(signed_points(each.mean_difference)), cell(f"{low} to {high}")]
            cells += [*map(cell, p), cell(effect), cell(each.note, "words")]
            rows.append(element("tr", header(each.system, "row"), cell(group_name(each.language), "words"), *cells))
    caption = "Differences and intervals in points; the effect size is Cohen's d of paired differences."
    return table(element("tr", head), rows, "Every comparison", caption)
