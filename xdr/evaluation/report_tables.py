"""A report's tables: by language, all systems, every comparison."""

from collections.abc import Sequence

from xdr.evaluation.charts import side
from xdr.evaluation.markup import element, escaped
from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.report import TEST, Choice, Report, is_significant
from xdr.evaluation.significance import RANDOMISATION, T_TEST, Comparison
from xdr.evaluation.wording import difference_text, group_name, legend, p_text, scale_text, signed_points, value_text


def language_table(report: Report, metric: str, choice: Choice) -> str:
    means = report.means[report.baseline][metric]
    top = [_header(name, "col", rowspan=2 if choice.systems else 1) for name in ("Language", "n", report.baseline)]
    top += [_header(system, "colgroup", colspan=3) for system in choice.systems]
    names = (_header(name, "col", class_=class_) for name, class_ in (("value", "first"), ("difference", ""), ("p", "")))
    second = "".join(names) * len(choice.systems)
    rows = [
        _language_row(report, metric, choice.systems, language, means.num_by_language.get(language, means.num_queries))
        for language in report.groups(metric)
    ]
    if MACRO in report.groups(metric):
        rows.append(_micro_row(report, metric, choice.systems))
    head = element("tr", *top) + (element("tr", second) if choice.systems else "")
    return _table(head, rows, f"{metric} by language", _caption(report, metric, choice.systems))


def _caption(report: Report, metric: str, systems: Sequence[str]) -> str:
    said = [f"{metric}, {scale_text(metric)}."]
    if len(report.languages(metric)) > 1:
        said.append("The macro mean is of languages, the micro mean of queries.")
    if systems:
        unit = "ranks" if counts_ranks(metric) else "points"
        said.append(f"Differences are from {report.baseline}, in {unit}. {legend(report.comparison(systems[0], metric))}")
    if left_out := report.means[report.baseline][metric].left_out:
        said.append(f"Without a value, and left out: {left_out:,} queries.")
    return " ".join([*said, *_notes(report, metric, systems)])


def _notes(report: Report, metric: str, systems: Sequence[str]) -> list[str]:
    """Why a p is missing or no surprise; systems are named where it does not go for all."""
    where: dict[tuple[str, str], list[str]] = {}
    for language in report.groups(metric):
        for system in systems:
            if note := report.comparison(system, metric, language).note:
                where.setdefault((language, note), []).append(system)
    return [
        f"{group_name(language)}{'' if len(of) == len(systems) else ' with ' + ' and '.join(of)}: {note}."
        for (language, note), of in where.items()
    ]


def _language_row(report: Report, metric: str, systems: Sequence[str], language: str, n: int) -> str:
    cells = [
        _header(group_name(language), "row"),
        _cell(f"{n:,}", "n"),
        _cell(value_text(metric, report.value(report.baseline, metric, language))),
    ]
    for system in systems:
        comparison = report.comparison(system, metric, language)
        cells += [_cell(value_text(metric, report.value(system, metric, language)), "first"), *_tested(comparison)]
    return element("tr", *cells, class_="sum" if language == MACRO else "language")


def _tested(comparison: Comparison) -> list[str]:
    """The difference and its p, marked where significant."""
    significant = is_significant(comparison)
    marked = f" significant {side(comparison)}" if significant else ""
    star = f'<span class="star">{"*" if significant else ""}</span>'
    return [
        _cell(difference_text(comparison.metric, comparison.mean_difference), "difference" + marked),
        element("td", escaped(p_text(comparison.corrected_p[TEST])), star, class_="p" + marked),
    ]


def _micro_row(report: Report, metric: str, systems: Sequence[str]) -> str:
    """Not tested, so it has no p."""
    before = report.means[report.baseline][metric]
    cells = [_header("Micro mean", "row"), _cell(f"{before.num_queries:,}", "n"), _cell(value_text(metric, before.micro))]
    for system in systems:
        micro = report.means[system][metric].micro
        difference = difference_text(metric, micro - before.micro)
        cells += [_cell(value_text(metric, micro), "first"), _cell(difference, "difference"), _cell("")]
    return element("tr", *cells, class_="sum micro")


def system_table(report: Report) -> str:
    head = _header("System", "col") + "".join(_header(metric, "col", colspan=3) for metric in report.metrics)
    rows = []
    for system in report.systems:
        cells = [_header(system, "row")]
        for metric in report.metrics:
            tested = [_cell(""), _cell("")] if system == report.baseline else _tested(report.comparison(system, metric))
            cells += [_cell(value_text(metric, report.value(system, metric)), "first"), *tested]
        rows.append(element("tr", *cells))
    scales = ", ".join(f"{metric} {scale_text(metric)}" for metric in report.metrics if counts_ranks(metric))
    caption = f"Macro means, times 100{scales and f' (but {scales})'}; differences from the baseline; corrected p."
    return _table(element("tr", head), rows, "All systems", caption)


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
    head = "".join(_header(name, "col", class_="words" if name == "Language" else "") for name in names)
    rows = []
    for each in report.comparisons:
        if each.metric == report.headline_metric:
            low, high = map(signed_points, each.confidence_interval)
            p = (p_text(of_test[test]) for test in (RANDOMISATION, T_TEST) for of_test in (each.p, each.corrected_p))
            effect = "none" if each.effect_size is None else f"{each.effect_size:.2f}".replace("-", "\N{MINUS SIGN}")
            cells = [_cell(f"{each.n:,}", "n"), _cell(signed_points(each.mean_difference)), _cell(f"{low} to {high}")]
            cells += [*map(_cell, p), _cell(effect), _cell(each.note, "words")]
            rows.append(element("tr", _header(each.system, "row"), _cell(group_name(each.language), "words"), *cells))
    caption = "Differences and intervals in points; the effect size is Cohen's d of paired differences."
    return _table(element("tr", head), rows, "Every comparison", caption)


def _table(head: str, rows: Sequence[str], label: str, caption: str) -> str:
    """In a box of its own that scrolls, by keyboard too, where the page is narrower."""
    inside = element("caption", element("span", escaped(caption))) + element("thead", head) + element("tbody", *rows)
    return element("div", element("table", inside), class_="scroll", role="region", aria_label=label, tabindex="0")


def _header(name: str, scope: str, **attributes: str | int) -> str:
    return element("th", escaped(name), scope=scope, **attributes)


def _cell(words: str, class_: str = "") -> str:
    return element("td", escaped(words), **({"class": class_} if class_ else {}))
