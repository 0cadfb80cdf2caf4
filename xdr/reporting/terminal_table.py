"""Reports as tables in the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from xdr.comparison.significance import Comparison
from xdr.evaluation.per_query import MACRO
from xdr.reporting.findings import notes
from xdr.reporting.report import Choice, Report, choose_systems, control_rows, corrected_p, is_significant
from xdr.reporting.wording import (
    difference_text,
    group_name,
    interval_text,
    legend,
    p_text,
    scale_text,
    value_text,
)


def evaluation_terminal_table(report: Report, metric: str) -> Table:
    """Languages by systems, at most 100 columns wide: each value, its difference from the baseline and the corrected p. The
    systems are the best by the headline metric, whatever the metric of the table."""
    choice = choose_systems(report, report.headline_metric)
    means = report.means[report.baseline][metric]
    table = plain_table(f"{metric}, {scale_text(metric)}", ["n", report.baseline, *choice.systems])
    for language in report.groups(metric):
        if language == MACRO:
            table.add_section()
        n = means.num_by_language.get(language, means.num_queries)
        before = value_text(metric, report.value(report.baseline, metric, language))
        cells = [_compared(report, system, metric, language) for system in choice.systems]
        table.add_row(group_name(language), f"{n:,}", before, *cells)
    table.caption = escape("\n".join([*_legend(report, metric, choice), *filter(None, [choice.note])]))
    return table


def _compared(report: Report, system: str, metric: str, language: str) -> str:
    comparison = report.comparison(system, metric, language)
    value = value_text(metric, report.value(system, metric, language))
    return f"{value} {difference_text(metric, comparison.mean_difference):>6} {starred_p(comparison):>6}"


def starred_p(comparison: Comparison) -> str:
    return p_text(corrected_p(comparison)) + ("*" if is_significant(comparison) else " ")


def _legend(report: Report, metric: str, choice: Choice) -> list[str]:
    if not choice.systems:
        return []
    comparison = report.comparison(choice.systems[0], metric)
    return [
        f"Cells: value, difference from {report.baseline}, corrected p. n: queries. {legend(comparison)}",
        *notes(report, metric, choice.systems),
    ]


def control_terminal_table(report: Report, metric: str) -> Table | None:
    """The best augmented systems, each beside the baseline and the best control. None without controls."""
    control = report.best_control(metric)
    if control is None:
        return None
    value = value_text(metric, report.value(control, metric))
    title = f"{metric}, {scale_text(metric)}; the best control is {control} ({value})"
    table = plain_table(title, [metric, f"over {report.baseline}", "over the control"])
    rows = control_rows(report, metric)
    for system in rows:
        compared = [report.comparison(system, metric), report.with_control(system, metric)]
        cells = [_interval_and_p(comparison) for comparison in compared if comparison is not None]
        table.add_row(escape(system), value_text(metric, report.value(system, metric)), *cells)
    over_control = report.with_control(rows[0], metric)
    assert over_control is not None
    table.caption = escape(f"Cells: difference, its interval, corrected p. {legend(over_control)}")
    return table


def _interval_and_p(comparison: Comparison) -> str:
    difference = difference_text(comparison.metric, comparison.mean_difference)
    return escape(f"{difference} [{interval_text(comparison)}] {starred_p(comparison):>6}")


def plain_table(title: str, columns: list[str]) -> Table:
    table = Table(title=escape(title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(escape(name), justify="right", overflow="fold")
    return table
