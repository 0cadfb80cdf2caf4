"""Scales, ticks and descriptions of the charts that templates/charts.svg.jinja draws."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from xdr.comparison.significance import Comparison
from xdr.evaluation.metric_names import counts_ranks
from xdr.reporting.report import Curve, corrected_p
from xdr.reporting.wording import group_name, p_phrase, points, signed_points

Scale = Callable[[float], float]
Limits = tuple[float, float]


def linear_scale(limits: Limits, start: float, end: float) -> Scale:
    """A function from values within the limits to places between `start` and `end`."""
    low, high = limits
    return lambda value: start + (value - low) / (high - low) * (end - start)


def axis_scale(positions: Sequence[float], start: float, end: float) -> Scale:
    """Linear for evenly spaced positions. Otherwise a scale of square roots, which separates 0.001 from 0.01 and has a place
    for 0."""
    if is_even(positions):
        return linear_scale((positions[0], positions[-1]), start, end)
    of_root = linear_scale((math.sqrt(positions[0]), math.sqrt(positions[-1])), start, end)
    return lambda position: of_root(math.sqrt(position))


def is_even(positions: Sequence[float]) -> bool:
    nearest = min(after - before for before, after in pairwise(positions))
    return nearest > (positions[-1] - positions[0]) / 20


def rank_scale(depth: int, start: float, end: float) -> Callable[[int | None], float]:
    """Logarithmic, from beyond `depth` at the start to rank 1 at the end."""
    of_logarithm = linear_scale((0, math.log(depth + 1)), end, start)
    return lambda rank: of_logarithm(math.log(rank or depth + 1))


def ticks(limits: Limits, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within the limits, about as many as asked for."""
    low, high = limits
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= 0.7 * rough)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_text(difference: float) -> str:
    return f"{100 * difference:+g}".replace("-", "\N{MINUS SIGN}") if difference else "0"


def axis_ticks(positions: Sequence[float], x: Scale, least_gap: float) -> Iterator[tuple[float, str]]:
    """Each position with its label. The label is empty where there is no room: the ends come first, then from the right."""
    labelled: list[float] = []
    for position in (positions[-1], positions[0], *positions[-2:0:-1]):
        has_room = all(abs(x(position) - other) >= least_gap for other in labelled)
        labelled += [x(position)] if has_room else []
        yield position, f"{position:g}" if has_room else ""


def path(positions: Sequence[float], values: Sequence[float], x: Scale, y: Scale) -> str:
    """The points of a line in SVG."""
    return " ".join(f"{x(position):.1f},{y(value):.1f}" for position, value in zip(positions, values, strict=True))


def differences_limits(comparisons: Sequence[Comparison]) -> Limits:
    """One range for several charts: 0 and all intervals, except those of a single query, which are no estimate."""
    ends = [end for comparison in comparisons if corrected_p(comparison) is not None for end in comparison.confidence_interval]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    margin = 0.06 * (high - low) or 0.01
    return low - margin, high + margin


def clamped(value: float, limits: Limits) -> float:
    return min(max(value, limits[0]), limits[1])


def curve_spans(curves: Sequence[Curve]) -> list[float]:
    """How much of the vertical axis each chart shows: what the curve needs, but at least the median of all curves. Slopes stay
    comparable, and chance does not look large."""
    needed = [max(1e-6, *_extent(curve)) - min(_extent(curve)) for curve in curves]
    return [max(span, median(needed), 0.004) * 1.16 for span in needed]


def value_limits(curve: Curve, span: float) -> Limits:
    """The limits of the vertical axis. No value is below 0, so no axis starts below it."""
    low = max(0, (max(_extent(curve)) + min(_extent(curve)) - span) / 2)
    return low, low + span


def _extent(curve: Curve) -> tuple[float, ...]:
    baseline = () if curve.baseline is None else (curve.baseline,)
    seeds = (end for interval in curve.seed_intervals if interval for end in interval)
    return (*baseline, *curve.values, *curve.lower, *curve.upper, *seeds)


def direction(comparison: Comparison) -> str:
    """The class that gives a difference its colour. A difference in ranks is neither a gain nor a loss."""
    if not comparison.mean_difference or counts_ranks(comparison.metric):
        return "level"
    return "rise" if comparison.mean_difference > 0 else "fall"


def comparison_text(comparison: Comparison, name: Callable[[str], str] = group_name) -> str:
    """`name` names what was compared: a language or the macro mean."""
    low, high = map(signed_points, comparison.confidence_interval)
    p = corrected_p(comparison)
    size = f"{signed_points(comparison.mean_difference)} points, {100 * comparison.confidence:g} % interval {low} to {high}"
    return f"{name(comparison.language)}: {size}, {comparison.note if p is None else p_phrase(p)}, n = {comparison.n:,}"


def curve_text(curve: Curve) -> str:
    values = ", ".join(f"{points(value)} at {at:g}" for at, value in zip(curve.positions, curve.values, strict=True))
    return values if curve.baseline is None else f"baseline {points(curve.baseline)}; {values}"


def rank_text(rank: int | None, depth: int) -> str:
    return f"beyond {depth:,}" if rank is None else f"{rank:,}"
