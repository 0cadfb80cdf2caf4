"""A report as one HTML file, to be sent to a colleague: it is complete without a network and runs no script."""

from collections.abc import Sequence

from xdr.evaluation.significance import RANDOMISATION, T_TEST, Comparison
from xdr.reporting.charts import alpha_curve, curve_spans, differences, differences_limits, rank_change, rank_text
from xdr.reporting.findings import answer, findings
from xdr.reporting.markup import element, escaped
from xdr.reporting.page import bullets, details, page, paragraph, section
from xdr.reporting.report import Choice, MovedQuery, Report, alpha_curves, choose_systems
from xdr.reporting.report_tables import comparison_table, language_table, system_table
from xdr.reporting.wording import language_name


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
    header = element("header", element("h1", escaped(report.title)), subtitle, class_="top")
    return header + paragraph(_unbroken(answer(report)), class_="answer") + bullets(found, "findings")


def _unbroken(sentence: str) -> str:
    """`n = 12` stays on one line."""
    return sentence.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def _by_language(report: Report, choice: Choice) -> str:
    parts = [paragraph(choice.how, class_="soft")] if choice.how else []
    parts.append(language_table(report, report.headline_metric, choice))
    for metric in report.metrics:
        if metric != report.headline_metric:
            parts.append(details(f"The same by {metric}", language_table(report, metric, choice)))
    if len(report.systems) > 1:
        parts.append(details(f"All {len(report.systems)} systems, by every metric", system_table(report)))
    return section("By language", *parts)


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
        *_generated(query),
        class_="query rise" if query.rose else "query fall",
    )


def _generated(query: MovedQuery) -> list[str]:
    """Questions in the query's own language first; the others a click away."""
    if written := {language: texts for language, texts in query.passages.items() if texts}:
        return [_in_language(f"Written for the query in {language_name(code)}", code, its) for code, its in written.items()]
    asked = {language: texts for language, texts in sorted(query.questions.items()) if texts}
    if not asked:
        return [element("h4", "Nothing was generated for it.")]
    own = asked.pop(query.language, None)
    parts = [_asked(query.language, own)] if own else []
    if asked:
        count = sum(map(len, asked.values()))
        words = f"{count} question{'s' if count > 1 else ''} generated in {', '.join(map(language_name, asked))}"
        parts.append(details(words, *(_asked(language, texts) for language, texts in asked.items())))
    return parts


def _asked(language: str, texts: Sequence[str]) -> str:
    return _in_language(f"Generated for it in {language_name(language)}", language, texts)


def _in_language(heading: str, language: str, texts: Sequence[str]) -> str:
    items = [element("li", escaped(words), dir="auto", lang=language) for words in texts]
    return element("h4", escaped(heading)) + element("ul", *items)


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
        parts.append(details(f"Every comparison by {report.headline_metric}", comparison_table(report)))
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
