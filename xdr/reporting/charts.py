"""Charts as SVG, to stand in a page: its style sheet colours them. They are drawn for the width of a phone, where they are
shown at their own size."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.significance import Comparison
from xdr.reporting.markup import element, escaped
from xdr.reporting.report import TEST, AlphaCurve, MovedQuery, is_significant
from xdr.reporting.wording import group_name, p_phrase, p_text, points, signed_points

Scale = Callable[[float], float]
Limits = tuple[float, float]


def differences_limits(comparisons: Sequence[Comparison]) -> Limits:
    """A range for several charts: 0 and all intervals. One query's interval says nothing, and stretches nothing."""
    ends = [end for each in comparisons if each.corrected_p[TEST] is not None for end in each.confidence_interval]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    margin = 0.06 * (high - low) or 0.01
    return low - margin, high + margin


def differences(comparisons: Sequence[Comparison], limits: Limits, title: str) -> str:
    """A forest plot: a line each, in the order given. Filled marks are significant after correction."""
    row, width, height = 24, 360, 52 + 24 * len(comparisons)
    x, bottom = _linear(*limits, 104, 262), height - 24
    parts = [_text(316, 14, "points", "head end"), _text(width, 14, "p", "head end")]
    for tick in _ticks(*limits, about=4):
        parts.append(_line(x(tick), 22, x(tick), bottom, "grid" if tick else "zero"))
        parts.append(
            _text(x(tick), bottom + 15, f"{100 * tick:+g}".replace("-", "\N{MINUS SIGN}") if tick else "0", "tick middle")
        )
    for i, comparison in enumerate(comparisons):
        parts.append(_difference(comparison, limits, x, y=26 + row * (i + 0.5)))
    return _picture(width, height, title, "; ".join(map(told, comparisons)), parts)


def told(comparison: Comparison) -> str:
    """A difference in words."""
    low, high = map(signed_points, comparison.confidence_interval)
    p = comparison.corrected_p[TEST]
    size = f"{signed_points(comparison.mean_difference)} points, {100 * comparison.confidence:g} % interval {low} to {high}"
    return f"{group_name(comparison.language)}: {size}, {comparison.note if p is None else p_phrase(p)}, n = {comparison.n:,}"


def _difference(comparison: Comparison, limits: Limits, x: Scale, y: float) -> str:
    low, middle, high = (
        x(min(max(value, limits[0]), limits[1]))
        for value in (comparison.confidence_interval[0], comparison.mean_difference, comparison.confidence_interval[1])
    )
    is_macro = comparison.language == MACRO
    return element(
        "g",
        element("title", escaped(told(comparison))),
        _text(0, y + 4, group_name(comparison.language), "label"),
        _line(low, y, high, y, "interval"),
        _mark(comparison, limits, middle, y),
        _text(316, y + 4, signed_points(comparison.mean_difference), "number end"),
        _text(360, y + 4, p_text(comparison.corrected_p[TEST]), "number end"),
        class_=" ".join(["row", side(comparison), *(["macro"] if is_macro else [])]),
    )


def _mark(comparison: Comparison, limits: Limits, x: float, y: float) -> str:
    """A diamond for macro, and an arrow where the difference lies outside the chart."""
    class_ = "mark" if is_significant(comparison) else "mark hollow"
    if not limits[0] <= comparison.mean_difference <= limits[1]:
        ahead = 8 if comparison.mean_difference > 0 else -8
        return element("path", d=f"M{x - ahead:.1f} {y - 5:g}v10l{ahead} -5z", class_=class_)
    if comparison.language == MACRO:
        return element("path", d=f"M{x:.1f} {y - 6.5:g}l6.5 6.5l-6.5 6.5l-6.5 -6.5z", class_=class_)
    return element("circle", cx=x, cy=y, r=4.5, class_=class_)


def side(comparison: Comparison) -> str:
    """The class that gives a difference its colour; of ranks none is a gain."""
    if not comparison.mean_difference or counts_ranks(comparison.metric):
        return "level"
    return "rise" if comparison.mean_difference > 0 else "fall"


def curve_spans(curves: Sequence[AlphaCurve]) -> list[float]:
    """How much of the vertical axis each panel shows: what it needs, and no less than the median of all, so that slopes can be
    compared and chance is not blown up."""
    needed = [max(1e-6, *_extent(curve)) - min(_extent(curve)) for curve in curves]
    return [max(span, median(needed), 0.004) * 1.16 for span in needed]


def alpha_curve(curve: AlphaCurve, span: float, metric: str, *, large: bool) -> str:
    """The metric against alpha, the baseline as a line, and its band. Filled points are significant after correction."""
    width, height = (360, 272) if large else (172, 128)
    left, top, bottom = (40, 30, height - 40) if large else (32, 26, height - 20)
    low = max(0, (max(_extent(curve)) + min(_extent(curve)) - span) / 2)  # no value is below 0, and no axis shows one
    high = low + span
    x, y = _alpha_scale(curve.alphas, left + 8, width - 10), _linear(low, high, bottom, top)
    name = group_name(curve.language)
    parts = [_text(0, 14, name, "label" + (" macro" if large else ""))]
    for tick in _ticks(low, high, about=5 if large else 3):
        parts.append(_line(left, y(tick), width, y(tick), "grid"))
        parts.append(_text(left - 6, y(tick) + 4, f"{100 * tick:.4g}", "tick end"))
    parts += _alpha_ticks(curve.alphas, x, bottom, least_gap=30)
    if large:
        root = "" if _is_even(curve.alphas) else " (square-root scale)"
        parts.append(_text(width, height - 4, f"{curve.axis}{root}", "tick end"))
    if large and curve.baseline is not None:
        parts.append(_text(width, 14, f"baseline {points(curve.baseline)}", "tick end"))
        parts.append(_line(width - 110, 10, width - 84, 10, "baseline"))
    parts += _band_and_line(curve, x, y, left, width)
    return _picture(width, height, f"{metric} against {curve.axis}, {curve.family}, {name}", _curve_told(curve), parts)


def _band_and_line(curve: AlphaCurve, x: Scale, y: Scale, left: float, right: float) -> list[str]:
    upper = [f"{x(alpha):.1f},{y(value):.1f}" for alpha, value in zip(curve.alphas, curve.upper, strict=True)]
    lower = [f"{x(alpha):.1f},{y(value):.1f}" for alpha, value in zip(curve.alphas, curve.lower, strict=True)]
    middle = [f"{x(alpha):.1f},{y(value):.1f}" for alpha, value in zip(curve.alphas, curve.values, strict=True)]
    parts = [
        element("polygon", points=" ".join(upper + lower[::-1]), class_="band"),
        *([] if curve.baseline is None else [_line(left, y(curve.baseline), right, y(curve.baseline), "baseline")]),
        element("polyline", points=" ".join(middle), class_="curve"),
        *(
            _line(x(at), y(its[0]), x(at), y(its[1]), "repeats")
            for at, its in zip(curve.alphas, curve.repeats, strict=False)
            if its
        ),
    ]
    for alpha, value, significant in zip(curve.alphas, curve.values, curve.significant, strict=True):
        title = element("title", f"{curve.axis} {alpha:g}: {points(value)}")
        parts.append(element("circle", title, cx=x(alpha), cy=y(value), r=3, class_="dot" if significant else "dot hollow"))
    return parts


def _curve_told(curve: AlphaCurve) -> str:
    pairs = ", ".join(f"{points(value)} at {alpha:g}" for alpha, value in zip(curve.alphas, curve.values, strict=True))
    return pairs if curve.baseline is None else f"The baseline has {points(curve.baseline)}; fused it is {pairs}"


def _extent(curve: AlphaCurve) -> tuple[float, ...]:
    baseline = () if curve.baseline is None else (curve.baseline,)
    return (*baseline, *curve.values, *curve.lower, *curve.upper, *(end for its in curve.repeats if its for end in its))


def _alpha_scale(alphas: Sequence[float], start: float, end: float) -> Scale:
    """Even where the alphas are; else of square roots, which parts 0.001 from 0.01 and still has a place for 0."""
    if _is_even(alphas):
        return _linear(alphas[0], alphas[-1], start, end)
    of_root = _linear(math.sqrt(alphas[0]), math.sqrt(alphas[-1]), start, end)
    return lambda alpha: of_root(math.sqrt(alpha))


def _is_even(alphas: Sequence[float]) -> bool:
    nearest = min(after - before for before, after in pairwise(alphas))
    return nearest > (alphas[-1] - alphas[0]) / 20


def _alpha_ticks(alphas: Sequence[float], x: Scale, bottom: float, least_gap: float) -> list[str]:
    """A mark at each alpha, its number where there is room: first the ends, then from the right."""
    parts: list[str] = []
    labelled: list[float] = []
    for alpha in (alphas[-1], alphas[0], *alphas[-2:0:-1]):
        parts.append(_line(x(alpha), bottom, x(alpha), bottom + 3, "tick"))
        if all(abs(x(alpha) - other) >= least_gap for other in labelled):
            parts.append(_text(x(alpha), bottom + 15, f"{alpha:g}", "tick middle"))
            labelled.append(x(alpha))
    return parts


def rank_change(query: MovedQuery, depth: int) -> str:
    """Both ranks on a line from 1 to beyond the depth, by their logarithm: hollow before, filled after."""
    before, after = (rank or depth + 1 for rank in (query.rank_before, query.rank_after))
    x = _linear(0, math.log(depth + 1), 200, 6)
    parts = [_line(6, 8, 200, 8, "track")]
    parts += [_line(x(math.log(rank)), 5, x(math.log(rank)), 11, "track") for rank in (1, 10, 100, 1000) if rank <= depth]
    parts += [
        _line(x(math.log(before)), 8, x(math.log(after)), 8, "interval"),
        element("circle", cx=x(math.log(before)), cy=8, r=4, class_="mark hollow"),
        element("circle", cx=x(math.log(after)), cy=8, r=5, class_="mark"),
    ]
    return _picture(
        206,
        16,
        "Rank before and after",
        f"{rank_text(query.rank_before, depth)}, then {rank_text(query.rank_after, depth)}",
        parts,
    )


def rank_text(rank: int | None, depth: int) -> str:
    return f"beyond {depth:,}" if rank is None else f"{rank:,}"


def _picture(width: float, height: float, title: str, description: str, parts: Sequence[str]) -> str:
    """A screen reader says the title and the description."""
    spoken = (element("title", escaped(title)), element("desc", escaped(description)))
    return element("svg", *spoken, *parts, class_="chart", viewBox=f"0 0 {width:g} {height:g}", role="img")


def _text(x: float, y: float, words: str, class_: str) -> str:
    return element("text", escaped(words), x=x, y=y, class_=class_)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between the two, about as many as asked for."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= 0.7 * rough)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
