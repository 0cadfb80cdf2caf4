"""A report as a table in the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from xdr.evaluation.per_query import MACRO
from xdr.reporting.findings import notes
from xdr.reporting.report import TEST, Choice, Report, choose_systems, is_significant
from xdr.reporting.wording import difference_text, group_name, legend, p_text, scale_text, value_text


def as_terminal_table(report: Report, metric: str) -> Table:
    """Languages by systems: each value, its difference from the baseline and the corrected p. At most 100 columns wide.
    Whichever the metric, the systems are the best by the headline's."""
    choice = choose_systems(report, report.headline_metric)
    means = report.means[report.baseline][metric]
    title = f"{metric}, {scale_text(metric)}"
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    table.add_column("n", justify="right")
    table.add_column(escape(report.baseline), justify="right", overflow="fold")
    for system in choice.systems:
        table.add_column(escape(system), justify="right", overflow="fold")
    for language in report.groups(metric):
        if language == MACRO:
            table.add_section()
        n = means.num_by_language.get(language, means.num_queries)
        before = value_text(metric, report.value(report.baseline, metric, language))
        cells = [_terminal_cell(report, system, metric, language) for system in choice.systems]
        table.add_row(group_name(language), f"{n:,}", before, *cells)
    table.caption = escape("\n".join([*_legend(report, metric, choice), *([choice.how] if choice.how else [])]))
    return table


def _terminal_cell(report: Report, system: str, metric: str, language: str) -> str:
    comparison = report.comparison(system, metric, language)
    value = value_text(metric, report.value(system, metric, language))
    mark = "*" if is_significant(comparison) else " "
    return f"{value} {difference_text(metric, comparison.mean_difference):>6} {p_text(comparison.corrected_p[TEST]):>5}{mark}"


def _legend(report: Report, metric: str, choice: Choice) -> list[str]:
    if not choice.systems:
        return []
    comparison = report.comparison(choice.systems[0], metric)
    return [
        f"Each: value, difference from {report.baseline}, corrected p; n queries. {legend(comparison)}",
        *notes(report, metric, choice.systems),
    ]
