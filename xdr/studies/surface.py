"""A metric over two numbers: values on a grid, contours, and the main effects with their tests.

I values of x, J values of y.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdr.comparison.paired_tests import holm
from xdr.comparison.significance import Comparison
from xdr.evaluation.per_query import MACRO
from xdr.reporting.charts import ticks
from xdr.reporting.report import TEST, is_significant
from xdr.reporting.wording import value_text
from xdr.studies.curves import axis_name
from xdr.studies.figure import SYSTEM, group_of, key_of
from xdr.studies.points import Point, axis_position, mean_over
from xdr.studies.sweep_report import SweepReport

Segment = tuple[float, float, float, float]


@dataclass(frozen=True)
class Surface:
    """`values` has a row for each value of y. `effects` are the difference from the lowest to the highest x, as a mean over y;
    that from the lowest to the highest y, as a mean over x; and half of the difference between the effects of x at the highest
    and at the lowest y."""

    name: str
    x: str
    y: str
    x_positions: tuple[float, ...]
    y_positions: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    significant: tuple[tuple[bool, ...], ...]
    effects: Mapping[str, Comparison]


def surfaces(report: SweepReport) -> list[Surface]:
    """A surface for each combination of the other settings for which the grid of x and y is complete."""
    asked = report.settings.figure
    if asked.x is None or asked.y is None or not report.points:
        return []
    x, y = key_of(report, asked.x), key_of(report, asked.y)
    others = [key for key in (SYSTEM, *report.distinguishing) if key not in (x, y)]
    groups: dict[str, dict[tuple[float, float], Point]] = {}
    for point in report.points:
        at = tuple(axis_position(point.settings.get(key), key) for key in (x, y))
        if at[0] is not None and at[1] is not None:
            groups.setdefault(group_of(point, others), {})[at[0], at[1]] = point
    found = []
    for name, grid in groups.items():
        x_positions, y_positions = (tuple(sorted({at[axis] for at in grid})) for axis in (0, 1))
        if len(grid) == len(x_positions) * len(y_positions) and min(len(x_positions), len(y_positions)) > 1:
            found.append(_surface(report, name, (x, y), grid, (x_positions, y_positions)))
    return found


def _surface(
    report: SweepReport,
    name: str,
    keys: tuple[str, str],
    grid: Mapping[tuple[float, float], Point],
    positions: tuple[tuple[float, ...], tuple[float, ...]],
) -> Surface:
    points_JI = [[grid[x, y] for x in positions[0]] for y in positions[1]]
    x_name, y_name = (axis_name(list(grid.values()), key) for key in keys)
    return Surface(
        name=name,
        x=x_name,
        y=y_name,
        x_positions=positions[0],
        y_positions=positions[1],
        values=tuple(tuple(report.value(point.name) for point in row) for row in points_JI),
        significant=tuple(tuple(_differs(report, point) for point in row) for row in points_JI),
        effects=_effects(report, points_JI, x_name, y_name),
    )


def _differs(report: SweepReport, point: Point) -> bool:
    comparison = report.comparison(point.name)
    return comparison is not None and is_significant(comparison)


def _effects(report: SweepReport, points_JI: Sequence[Sequence[Point]], x: str, y: str) -> dict[str, Comparison]:
    """Corrected over the three by Holm's method."""
    first, last = points_JI[0], points_JI[-1]
    columns = list(zip(*points_JI, strict=True))
    contrasts = {
        x: (columns[0], columns[-1]),
        y: (first, last),
        f"{x} x {y}": ([first[-1], last[0]], [first[0], last[-1]]),
    }
    found = {name: _contrast(report, before, after) for name, (before, after) in contrasts.items()}
    tested = {name: p for name, comparison in found.items() if (p := comparison.p[TEST]) is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    family = f"the {len(tested)} effects, Holm"
    return {
        name: replace(comparison, corrected_p={TEST: corrected.get(name)}, family=family) for name, comparison in found.items()
    }


def _contrast(report: SweepReport, before: Sequence[Point], after: Sequence[Point]) -> Comparison:
    """Compares the means of two groups of points, query by query."""
    groups = {name: mean_over([point.values for point in group], name) for name, group in (("low", before), ("high", after))}
    compared = report.testing.compare(groups, "low", report.metric, np.random.default_rng(report.testing.seed))
    return next(comparison for comparison in compared if comparison.language == MACRO)


def surface_text(surface: Surface, metric: str) -> str:
    """The surface in words, for who cannot see it."""
    return "; ".join(
        f"{surface.y} {y:g}: {', '.join(value_text(metric, value) for value in row)}"
        for y, row in zip(surface.y_positions, surface.values, strict=True)
    )


def levels(surface: Surface) -> list[float]:
    """Round values between the lowest and the highest."""
    values = [value for row in surface.values for value in row]
    return ticks((min(values), max(values)), about=5) if min(values) < max(values) else []


def contours(surface: Surface, levels: Sequence[float]) -> list[tuple[float, list[Segment]]]:
    """For each level, the segments of its contour in units of rows and columns, by linear interpolation in triangles."""
    values_JI = np.array(surface.values)
    found = []
    for level in levels:
        segments = []
        for j in range(values_JI.shape[0] - 1):
            for i in range(values_JI.shape[1] - 1):
                corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                for triangle in (corners[:3], [corners[0], *corners[2:]]):
                    crossed = _crossings(values_JI, triangle, level)
                    segments += [(*crossed[0], *crossed[1])] if len(crossed) == 2 else []
        found.append((level, segments))
    return found


def _crossings(values_JI: np.ndarray, triangle: Sequence[tuple[int, int]], level: float) -> list[tuple[float, float]]:
    crossed = []
    for (i, j), (other_i, other_j) in zip(triangle, [*triangle[1:], triangle[0]], strict=True):
        before, after = float(values_JI[j, i]), float(values_JI[other_j, other_i])
        if (before < level) != (after < level):
            share = (level - before) / (after - before)
            crossed.append((i + share * (other_i - i), j + share * (other_j - j)))
    return crossed
