"""A sweep as a page, in the look of an evaluation's report."""

from collections.abc import Sequence

from xdr.reporting.charts import alpha_curve, curve_spans
from xdr.reporting.markup import element, escaped
from xdr.reporting.page import bullets, cell, details, header, page, paragraph, section, table
from xdr.reporting.report import TEST, is_significant
from xdr.reporting.report_tables import tested
from xdr.reporting.sweep import SweepReport, over_repeats, repeat_values
from xdr.reporting.sweep_curves import Slice, slices
from xdr.reporting.sweep_points import Point, short, told
from xdr.reporting.wording import group_name, legend, p_phrase, points, signed_points
from xdr.storage.jobs import Job

_TITLE = "Sweep"


def render_sweep(report: SweepReport) -> str:
    sections = (_top(report), _points(report), _curves(report), _runs(report), _jobs(report), _method(report))
    return page(f"{_TITLE}: {report.folder}", sections)


def sweep_answer(report: SweepReport) -> str:
    """In one sentence: which point is the highest, and is it better than its baseline?"""
    best = report.best()
    if best is None:
        return f"{len(report.runs)} settings were trained." if report.runs else "No job is done yet."
    value = f"{report.metric} is highest with {best.name}: {points(report.value(best.name))}"
    comparison = report.comparison(best.name)
    if comparison is None:
        return f"{value}; it is compared with nothing."
    p = comparison.corrected_p[TEST]
    sure = "significant" if is_significant(comparison) else "not significant"
    after = comparison.note if p is None else f"{sure} after correction over the whole sweep ({p_phrase(p)})"
    return f"{value}, {signed_points(comparison.mean_difference)} from {report.reference[best.name]}: {after}."


def states_told(jobs: Sequence[Job]) -> str:
    counts = {
        state: sum(job.state == state for job in jobs) for state in ("done", "running", "interrupted", "failed", "waiting")
    }
    return f"{len(jobs)} jobs: {', '.join(f'{count} {state}' for state, count in counts.items() if count)}"


def _top(report: SweepReport) -> str:
    found = [escaped(states_told(report.jobs))]
    if any(job.state != "done" for job in report.jobs):
        found[0] += '; <a href="#jobs">not all are in these figures</a>'
    if len(report.points) > 2 and report.comparisons:
        found.append(
            "What is chosen on the queries it is reported on looks better than it is; p is corrected for all that was tried."
        )
    found += map(escaped, report.warnings())
    top = element("header", element("h1", _TITLE), paragraph(report.folder), class_="top")
    return top + paragraph(sweep_answer(report), class_="answer") + bullets(found, "findings")


def _points(report: SweepReport) -> str:
    if not report.points:
        return ""
    parts = [_table(report, report.metric)]
    parts += [details(f"The same by {metric}", _table(report, metric)) for metric in report.metrics if metric != report.metric]
    return section("All points", *parts)


def _table(report: SweepReport, metric: str) -> str:
    several = any(len(point.repeats) > 1 for point in report.points)
    axes, languages = _axes(report, report.points), report.languages
    head = [header("System", "col"), *(header(short(axis), "col") for axis in axes), header(metric, "col")]
    head += [header("difference", "col"), header("p", "col"), *([header("over seeds", "col")] if several else [])]
    head += [header(group_name(language), "col") for language in languages]
    rows = []
    for point in report.points:
        comparison = report.comparison(point.name, metric)
        cells = [header(point.kind, "row"), *(cell(_setting(point, axis)) for axis in axes)]
        cells += [cell(points(report.value(point.name, metric))), *(tested(comparison) if comparison else [cell(""), cell("")])]
        cells += [cell(_spread(report, point, metric))] if several else []
        cells += [_language(report, point, metric, language) for language in languages]
        rows.append(element("tr", *cells))
    return table(element("tr", *head), rows, f"All points by {metric}", _caption(report, metric))


def _caption(report: SweepReport, metric: str) -> str:
    said = [f"{metric} times 100: the macro mean of languages, then each language."]
    first = next((each for each in report.comparisons.values() if each.metric == metric), None)
    if first is not None:
        baselines = " or ".join(dict.fromkeys(report.reference.values()))
        said.append(f"Differences are from {baselines}, in points; languages are marked like macro. {legend(first)}")
    if any(len(point.repeats) > 1 for point in report.points):
        said.append("Values are means over repetitions, and 'over seeds' is the interval of that mean.")
    return " ".join(said)


def _language(report: SweepReport, point: Point, metric: str, language: str) -> str:
    values = report.means[point.name][metric].by_language
    if language not in values:
        return cell("")
    comparison = report.comparison(point.name, metric, language)
    marked = comparison is not None and is_significant(comparison)
    star = f'<span class="star">{"*" if marked else ""}</span>'
    return element("td", points(values[language]), star, class_="significant" if marked else "")


def _spread(report: SweepReport, point: Point, metric: str) -> str:
    interval = over_repeats(repeat_values(report, point, metric), report.testing.confidence)
    return f"{points(interval[0])} to {points(interval[1])}" if interval else ""


def _curves(report: SweepReport) -> str:
    parts = []
    for axis, found in slices(report).items():
        if not _in_unit(found):
            continue
        first, *others = found
        panels = zip(first.curves, curve_spans(first.curves), strict=True)
        drawn = [
            element("div", alpha_curve(curve, span, report.metric, large=i == 0), class_="large" if i == 0 else "small")
            for i, (curve, span) in enumerate(panels)
        ]
        parts += [element("h3", escaped(f"Along {short(axis)}: {first.held}")), element("div", *drawn, class_="curves")]
        if others:
            parts.append(
                details(f"Its {len(others)} other lines, macro", element("div", *_others(report, others), class_="curves"))
            )
    if not parts:
        return ""
    says = (
        f"Each line varies one setting; of several the one with the highest value is drawn large. Bands are "
        f"{100 * report.testing.confidence:g} % intervals over queries: of the difference, set on the dashed line of what "
        "it is compared with, or of the value itself where that is nothing. Upright strokes are intervals of another kind, of "
        "repetitions: what other seeds would give. Filled points are significant after correction."
    )
    return section("Along each setting", paragraph(says), *parts)


def _others(report: SweepReport, others: Sequence[Slice]) -> list[str]:
    curves = [each.curves[0] for each in others]
    return [
        element(
            "figure",
            element("figcaption", escaped(each.held)),
            alpha_curve(curve, span, report.metric, large=False),
        )
        for each, curve, span in zip(others, curves, curve_spans(curves), strict=True)
    ]


def _in_unit(found: Sequence[Slice]) -> bool:
    """A loss has no place on an axis of points."""
    return all(0 <= value <= 1 for each in found for value in each.curves[0].values)


def _runs(report: SweepReport) -> str:
    if not report.runs:
        return ""
    axes = _axes(report, report.runs)
    head = [
        *(header(short(axis), "col") for axis in axes),
        header("value", "col"),
        header("repetitions", "col"),
        header("over seeds", "col"),
    ]
    rows = []
    for run in report.runs:
        interval = over_repeats(run.figures, report.testing.confidence)
        cells = [header(_setting(run, axis), "row") if i == 0 else cell(_setting(run, axis)) for i, axis in enumerate(axes)]
        cells += [cell(f"{sum(run.figures) / len(run.figures):.4g}"), cell(str(len(run.figures)))]
        rows.append(element("tr", *cells, cell(f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else "")))
    caption = "The value is what each job returned: the monitored figure of its best checkpoint. No test stands behind it."
    return section("What was trained", table(element("tr", *head), rows, "What was trained", caption))


def _jobs(report: SweepReport) -> str:
    names = ("Job", "state", "value", "seconds")
    head = [header(name, "col") for name in names] + [
        header("overrides", "col", class_="words"),
        header("", "col", class_="words"),
    ]
    common = set.intersection(*(set(job.overrides) for job in report.jobs)) if len(report.jobs) > 1 else set()
    rows = []
    for job in report.jobs:
        own = " ".join(override for override in job.overrides if override not in common)
        cells = [cell(job.state), cell("" if job.value is None else f"{job.value:.4g}")]
        cells += [cell("" if job.seconds is None else f"{job.seconds:,.0f}"), cell(own, "words"), cell(job.error, "words")]
        rows.append(element("tr", header(job.name, "row"), *cells))
    unfinished = [job for job in report.jobs if job.state != "done"]
    listed = table(element("tr", *head), rows, "Jobs", "Each job's folder is named as it is.")
    return section("Jobs", listed if unfinished else details(states_told(report.jobs), listed), id="jobs")


def _method(report: SweepReport) -> str:
    first = next((each for each in report.comparisons.values() if each.metric == report.metric), None)
    if first is None:
        return ""
    says = (
        "Systems are compared on the same queries, paired by query id; with repetitions, on each query's mean over them. "
        f"p-values are corrected over the sweep: {first.family}."
    )
    return section("How it was computed", paragraph(says))


def _axes(report: SweepReport, of: Sequence[Point]) -> list[str]:
    return [axis for axis in report.axes if any(axis in point.settings for point in of)]


def _setting(point: Point, axis: str) -> str:
    return told(point.settings[axis]) if axis in point.settings else ""
