"""Numbers and names as reports print them: values times 100, p-values as journals do."""

from xdr.comparison.significance import Comparison
from xdr.errors import DataError
from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import MACRO
from xdr.reporting.report import TEST, corrected_p
from xdr.text.languages import find_language


def group_name(language: str) -> str:
    return "Macro mean" if language == MACRO else language_name(language)


def language_name(code: str) -> str:
    """The English name; the code itself where it is no language."""
    try:
        return find_language(code).name
    except DataError:
        return code


def points(value: float) -> str:
    return f"{100 * value:.1f}"


def signed_points(difference: float) -> str:
    """+1.9, −0.3, 0.0."""
    return _signed(points(abs(difference)), difference)


def value_text(metric: str, value: float) -> str:
    return f"{value:.1f}" if counts_ranks(metric) else points(value)


def difference_text(metric: str, difference: float) -> str:
    return _signed(value_text(metric, abs(difference)), difference)


def unit_text(metric: str) -> str:
    return "ranks" if counts_ranks(metric) else "points"


def scale_text(metric: str) -> str:
    return "in ranks, fewer is better" if counts_ranks(metric) else "times 100"


def interval_text(comparison: Comparison) -> str:
    low, high = (difference_text(comparison.metric, end) for end in comparison.confidence_interval)
    return f"{low} to {high}"


def interval_and_p(comparison: Comparison) -> str:
    """`-0.4 to +1.9, p = .200`, with the corrected p."""
    p = corrected_p(comparison)
    return f"{interval_text(comparison)}, {comparison.note if p is None else p_phrase(p)}"


def _signed(size: str, difference: float) -> str:
    return size if float(size) == 0 else ("+" if difference > 0 else "\N{MINUS SIGN}") + size


def p_text(p: float | None) -> str:
    """.012, <.001, >.999, or 1 for exactly 1; "none" without a test."""
    if p is None:
        return "none"
    if p >= 0.9995:
        return "1" if p == 1 else ">.999"
    return "<.001" if p < 0.0005 else f"{p:.3f}".removeprefix("0")


def p_phrase(p: float) -> str:
    text = p_text(p)
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"


def legend(comparison: Comparison) -> str:
    """The meaning of a star in a table: level, test, pairing and correction."""
    level = f"{1 - comparison.confidence:g}"
    return f"* p at most {level}: {TEST}, paired by {comparison.pairing}, corrected over {comparison.family}."
