"""A report as one HTML file, to be sent to a colleague: it is complete without a network and runs no script."""

from collections.abc import Sequence

from xdr.evaluation.charts import (
    alpha_curve,
    curve_spans,
    differences,
    differences_limits,
    element,
    escaped,
    rank_change,
    rank_text,
    side,
)
from xdr.evaluation.page import bullets, cell, details, header, page, paragraph, section, table
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.report import (
    TEST,
    Choice,
    MovedQuery,
    Report,
    alpha_curves,
    answer,
    choose_systems,
    findings,
    group_name,
    is_significant,
    language_name,
    legend,
    p_text,
    points,
    signed_points,
)
from xdr.evaluation.significance import RANDOMISATION, T_TEST, Comparison


def render(report: Report) -> str:
    choice = choose_systems(report, report.headline_metric)
    sections = (
        _top(report),
        _by_language(report, choice),
        _intervals(report, choice),
        _curves(report),
        _moved(report),
        _warnings(report),
        _method(report),
    )
    return page(report.title, sections)


def _top(report: Report) -> str:
    found = [*map(escaped, findings(report))]
    if report.warnings:
        count = len(report.warnings)
        found.append(f'<a href="#warnings">{"One warning" if count == 1 else f"{count} warnings"}</a> to read first.')
    subtitle = paragraph(report.subtitle) if report.subtitle else ""
    top = element("header", element("h1", escaped(report.title)), subtitle, class_="top")
    return top + paragraph(_unbroken(answer(report)), class_="answer") + bullets(found, "findings")


def _unbroken(sentence: str) -> str:
    """`n = 12` stays on one line."""
    return sentence.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def _by_language(report: Report, choice: Choice) -> str:
    parts = [paragraph(choice.how, class_="soft")] if choice.how else []
    parts.append(_language_table(report, report.headline_metric, choice))
    for metric in report.metrics:
        if metric != report.headline_metric:
            parts.append(details(f"The same by {metric}", _language_table(report, metric, choice)))
    if len(report.systems) > 1:
        parts.append(details(f"All {len(report.systems)} systems, by every metric", _system_table(report)))
    return section("By language", *parts)


def _language_table(report: Report, metric: str, choice: Choice) -> str:
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
    said = [f"{metric}, times 100."]
    if len(report.languages(metric)) > 1:
        said.append("The macro mean is of languages, the micro mean of queries.")
    if systems:
        said.append(f"Differences are from {report.baseline}, in points. {legend(report.comparison(systems[0], metric))}")
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
        header(group_name(language), "row"),
        cell(f"{n:,}", "n"),
        cell(points(report.value(report.baseline, metric, language))),
    ]
    for system in systems:
        comparison = report.comparison(system, metric, language)
        cells += [cell(points(report.value(system, metric, language)), "first"), *tested(comparison)]
    return element("tr", *cells, class_="sum" if language == MACRO else "language")


def tested(comparison: Comparison) -> list[str]:
    """The difference and its p, marked where significant."""
    significant = is_significant(comparison)
    marked = f" significant {side(comparison)}" if significant else ""
    star = f'<span class="star">{"*" if significant else ""}</span>'
    return [
        cell(signed_points(comparison.mean_difference), "difference" + marked),
        element("td", escaped(p_text(comparison.corrected_p[TEST])), star, class_="p" + marked),
    ]


def _micro_row(report: Report, metric: str, systems: Sequence[str]) -> str:
    """Not tested, so it has no p."""
    before = report.means[report.baseline][metric]
    cells = [header("Micro mean", "row"), cell(f"{before.num_queries:,}", "n"), cell(points(before.micro))]
    for system in systems:
        micro = report.means[system][metric].micro
        cells += [cell(points(micro), "first"), cell(signed_points(micro - before.micro), "difference"), cell("")]
    return element("tr", *cells, class_="sum micro")


def _system_table(report: Report) -> str:
    head = header("System", "col") + "".join(header(metric, "col", colspan=3) for metric in report.metrics)
    rows = []
    for system in report.systems:
        cells = [header(system, "row")]
        for metric in report.metrics:
            more = [cell(""), cell("")] if system == report.baseline else tested(report.comparison(system, metric))
            cells += [cell(points(report.value(system, metric)), "first"), *more]
        rows.append(element("tr", *cells))
    caption = "Macro means, times 100; differences from the baseline; corrected p."
    return table(element("tr", head), rows, "All systems", caption)


def _intervals(report: Report, choice: Choice) -> str:
    if not choice.systems:
        return ""
    metric = report.headline_metric
    of_system = {
        system: [report.comparison(system, metric, language) for language in report.groups(metric)] for system in choice.systems
    }
    limits = differences_limits([comparison for comparisons in of_system.values() for comparison in comparisons])
    plots = [
        element(
            "figure",
            element("figcaption", escaped(system)),
            differences(comparisons, limits, f"{system} less {report.baseline}"),
        )
        for system, comparisons in of_system.items()
    ]
    confidence = f"{100 * of_system[choice.systems[0]][0].confidence:g} %"
    says = (
        f"{metric} less that of {report.baseline}, with {confidence} bootstrap intervals. A filled mark is significant after "
        "correction. The intervals are not corrected: one may leave out 0 where the mark is hollow."
    )
    return section("How sure is each difference?", paragraph(says), element("div", *plots, class_="plots"))


def _curves(report: Report) -> str:
    curves, metric = alpha_curves(report, report.headline_metric), report.headline_metric
    if not curves:
        return ""
    says = (
        f"Alpha is the share of the generated texts in a fused vector. The dashed line is {report.baseline}; the band is that "
        "line plus the interval of the difference, so that where the band leaves the line, the difference has a sign before "
        "correction. Filled points are significant after it."
    )
    parts = [paragraph(says)]
    for family in dict.fromkeys(curve.family for curve in curves):
        of_family = [curve for curve in curves if curve.family == family and curve.language in report.groups(metric)]
        panels = [
            element("div", alpha_curve(curve, span, metric, large=i == 0), class_="large" if i == 0 else "small")
            for i, (curve, span) in enumerate(zip(of_family, curve_spans(of_family), strict=True))
        ]
        parts.append(element("h3", f"Fusion: {escaped(family)}") + element("div", *panels, class_="curves"))
    return section(f"{metric} against alpha", *parts)


def _moved(report: Report) -> str:
    if not report.moved:
        return ""
    says = (
        f"From {report.baseline} to {report.moved_system}: the rank of the best placed relevant passage before (hollow) and "
        f"after (filled), 1 at the right and beyond {report.depth:,} at the left."
    )
    parts = [paragraph(says)]
    for name, rose in (("Rose most", True), ("Fell most", False)):
        cards = [_moved_query(query, report.depth) for query in report.moved if query.rose == rose]
        parts += [element("h3", name), element("div", *cards, class_="queries")] if cards else []
    return section("Queries that moved most", *parts)


def _moved_query(query: MovedQuery, depth: int) -> str:
    ranks = element("strong", escaped(f"{rank_text(query.rank_before, depth)} → {rank_text(query.rank_after, depth)}"))
    about = element("span", f"{escaped(language_name(query.language))} · {ranks}")
    title = query.gold_passage_title or query.gold_passage_text[:60]
    passage = details(f"Its passage: {title}", element("p", escaped(query.gold_passage_text), dir="auto"))
    return element(
        "article",
        element("div", about, rank_change(query, depth), class_="moved"),
        element("p", escaped(query.query), class_="text", dir="auto", lang=query.language),
        passage,
        *_questions(query),
        class_="query rise" if query.rose else "query fall",
    )


def _questions(query: MovedQuery) -> list[str]:
    """Those in the query's own language first; the others a click away."""
    asked = {language: texts for language, texts in sorted(query.questions.items()) if texts}
    if not asked:
        return [element("h4", "No question was generated for this passage.")]
    own = asked.pop(query.language, None)
    parts = [_in_language(query.language, own)] if own else []
    if asked:
        count = sum(map(len, asked.values()))
        words = f"{count} question{'s' if count > 1 else ''} generated in {', '.join(map(language_name, asked))}"
        parts.append(details(words, *(_in_language(language, texts) for language, texts in asked.items())))
    return parts


def _in_language(language: str, texts: Sequence[str]) -> str:
    items = [element("li", escaped(words), dir="auto", lang=language) for words in texts]
    return element("h4", f"Generated for it in {escaped(language_name(language))}") + element("ul", *items)


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    return section("Warnings", bullets(map(escaped, report.warnings), "warnings"), id="warnings")


def _method(report: Report) -> str:
    parts = []
    if report.comparisons:
        comparison = report.comparison(report.systems[1], report.headline_metric)
        parts += [paragraph(words) for words in _tests_told(comparison)]
    facts = [element("dt", escaped(name)) + element("dd", escaped(value)) for name, value in report.facts]
    if facts:
        parts.append(element("dl", *facts, class_="facts"))
    if report.comparisons:
        parts.append(details(f"Every comparison by {report.headline_metric}", _comparison_table(report)))
    return section("How it was computed", *parts) if parts else ""


def _tests_told(comparison: Comparison) -> list[str]:
    return [
        f"Systems are compared on the same queries, paired by {comparison.pairing}. The {RANDOMISATION} asks how "
        "often so large a difference comes about where chance decides which of a query's two values is whose. Stars and filled "
        f"marks go by it, for it assumes nothing about values that are 0 or 1; the {T_TEST} is listed beside it. Macro is "
        "tested as such, each query with its weight in it.",
        f"p-values are corrected over {comparison.family}. Intervals are percentiles of a bootstrap over queries within "
        "their languages, and not corrected.",
    ]


def _comparison_table(report: Report) -> str:
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
