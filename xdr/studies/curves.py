"""A sweep's metric along each setting that varies, with the other settings held fixed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from xdr.evaluation.per_query import MACRO
from xdr.reporting.report import Curve, is_significant
from xdr.studies.points import Point, axis_position, point_name, setting_name
from xdr.studies.sweep_report import SweepReport, query_interval, repeat_values, seed_interval


@dataclass(frozen=True)
class Slice:
    """Points that differ only along `axis`. `held` names the other settings. Curves are of macro, then of each language."""

    axis: str
    held: str
    curves: tuple[Curve, ...]

    @property
    def macro(self) -> Curve:
        return self.curves[0]


def slices(report: SweepReport) -> dict[str, list[Slice]]:
    """The slices along each axis, those with the highest macro mean first."""
    by_axis: dict[str, list[Slice]] = {}
    for axis in report.axes:
        groups: dict[str, list[Point]] = {}
        for point in (*report.points, *report.trainings):
            if axis in point.settings and axis_position(point.settings[axis], axis) is not None:
                held = {key: value for key, value in point.settings.items() if key != axis}
                groups.setdefault(point_name(point.system, held), []).append(point)
        lines = [_slice(report, axis, held, points) for held, points in groups.items() if _is_line(points, axis)]
        if lines:
            by_axis[axis] = sorted(lines, key=lambda line: -max(line.macro.values))
    return by_axis


def _is_line(points: Sequence[Point], axis: str) -> bool:
    positions = _positions(points, axis)
    return len(set(positions)) == len(positions) > 1


def _positions(points: Sequence[Point], axis: str) -> tuple[float, ...]:
    return tuple(axis_position(point.settings[axis], axis) or 0.0 for point in points)


def _slice(report: SweepReport, axis: str, held: str, points: Sequence[Point]) -> Slice:
    placed = placed_points(points, axis)
    scored = [report.means[point.name][report.metric].by_language for point in points if point.repeats]
    shared = [language for language in scored[0] if all(language in values for values in scored)] if scored else []
    languages = [MACRO, *(shared if len(shared) > 1 else [])]
    return Slice(axis, held, tuple(curve_of(report, axis_name(points, axis), held, placed, language) for language in languages))


def placed_points(points: Sequence[Point], axis: str) -> list[tuple[float, Point]]:
    """The points with their places on the axis, in its order."""
    return sorted(((axis_position(point.settings[axis], axis) or 0.0, point) for point in points), key=lambda placed: placed[0])


def axis_name(points: Sequence[Point], axis: str) -> str:
    is_list = any(isinstance(point.settings.get(axis), list | tuple) for point in points)
    return f"number of {setting_name(axis)}" if is_list else setting_name(axis)


def curve_of(
    report: SweepReport, axis: str, family: str, placed: Sequence[tuple[float, Point]], language: str = MACRO
) -> Curve:
    """The metric of points along an axis, with intervals over queries and over seeds."""
    points = [point for _, point in placed]
    by_repeat = [repeat_values(report, point, language=language) for point in points]
    values = [fmean(repeats) for repeats in by_repeat]
    bands = [
        query_interval(report, point, language) if point.repeats else (value, value)
        for point, value in zip(points, values, strict=True)
    ]
    comparisons = [report.comparison(point.name, language=language) for point in points]
    (reference, *others) = {report.reference.get(point.name) for point in points}
    return Curve(
        family=family,
        language=language,
        axis=axis,
        baseline=report.value(reference, language=language) if reference is not None and not others else None,
        positions=tuple(position for position, _ in placed),
        values=tuple(values),
        lower=tuple(low for low, _ in bands),
        upper=tuple(high for _, high in bands),
        significant=tuple(comparison is not None and is_significant(comparison) for comparison in comparisons),
        seed_intervals=tuple(seed_interval(repeats, report.testing.confidence) for repeats in by_repeat),
    )
