"""An evaluation's report as a page."""

from xdr.reporting import robustness
from xdr.reporting.charts import differences_limits
from xdr.reporting.findings import answer, findings
from xdr.reporting.pages import render_page
from xdr.reporting.report import Curve, Report, alpha_curves, choose_systems


def render_report(report: Report) -> str:
    metric = report.headline_metric
    choice = choose_systems(report, metric)
    plots = {name: [report.comparison(name, metric, group) for group in report.groups(metric)] for name in choice.systems}
    return render_page(
        "report.html.jinja",
        robustness,
        report=report,
        choice=choice,
        answer=answer(report),
        findings=findings(report),
        plots=plots,
        limits=differences_limits([comparison for comparisons in plots.values() for comparison in comparisons]),
        families=_curves_by_family(report),
    )


def _curves_by_family(report: Report) -> dict[str, list[Curve]]:
    shown = report.groups(report.headline_metric)
    families: dict[str, list[Curve]] = {}
    for curve in alpha_curves(report, report.headline_metric):
        if curve.language in shown:
            families.setdefault(curve.family, []).append(curve)
    return families
