"""A sweep's metric along each setting that was varied, the others held."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from xdr.evaluation.per_query import MACRO
from xdr.reporting.report import AlphaCurve, is_significant
from xdr.reporting.sweep import SweepReport, over_queries, over_repeats, repeat_values
from xdr.reporting.sweep_points import Point, place, short, told
from xdr.storage.fingerprint import Json


@dataclass(frozen=True)
class Slice:
    """Points that differ along one axis alone; `held` are their other settings. Macro first, then each language."""

    axis: str
    held: str
    best: float
    curves: tuple[AlphaCurve, ...]


def slices(report: SweepReport) -> dict[str, list[Slice]]:
    """By axis, those with the highest value first."""
    found: dict[str, list[Slice]] = {}
    for axis in report.axes:
        groups: dict[str, list[Point]] = {}
        for point in (*report.points, *report.runs):
            if axis in point.settings and place(point.settings[axis], axis) is not None:
                held = [f"{short(key)}={told(value)}" for key, value in point.settings.items() if key != axis]
                groups.setdefault(" ".join([point.kind, *held]), []).append(point)
        drawn = [_slice(report, axis, held, members) for held, members in groups.items() if _is_line(members, axis)]
        if drawn:
            found[axis] = sorted(drawn, key=lambda each: -each.best)
    return found


def _is_line(points: Sequence[Point], axis: str) -> bool:
    places = [place(point.settings[axis], axis) for point in points]
    return len(set(places)) == len(places) > 1


def _slice(report: SweepReport, axis: str, held: str, points: Sequence[Point]) -> Slice:
    ordered = sorted(points, key=lambda point: place(point.settings[axis], axis) or 0.0)
    scored = [report.means[point.name][report.metric].by_language for point in points if point.repeats]
    shared = [language for language in scored[0] if all(language in each for each in scored)] if scored else []
    languages = [MACRO, *(shared if len(shared) > 1 else [])]
    curves = tuple(_curve(report, axis, held, ordered, language) for language in languages)
    return Slice(axis, held, max(curves[0].values), curves)


def _curve(report: SweepReport, axis: str, held: str, points: Sequence[Point], language: str) -> AlphaCurve:
    by_repeat = [repeat_values(report, point, language=language) for point in points]
    spreads = [over_repeats(values, report.testing.confidence) for values in by_repeat]
    bands = [over_queries(report, point, language) if point.repeats else None for point in points]
    values = [fmean(its) for its in by_repeat]
    comparisons = [report.comparison(point.name, language=language) for point in points]
    references = {report.reference.get(point.name) for point in points}
    (reference, *others) = references
    return AlphaCurve(
        family=held,
        language=language,
        baseline=report.value(reference, language=language) if reference is not None and not others else None,
        alphas=tuple(place(point.settings[axis], axis) or 0.0 for point in points),
        values=tuple(values),
        lower=tuple(band[0] if band else value for band, value in zip(bands, values, strict=True)),
        upper=tuple(band[1] if band else value for band, value in zip(bands, values, strict=True)),
        significant=tuple(each is not None and is_significant(each) for each in comparisons),
        axis=axis_name(points[0].settings[axis], axis),
        repeats=tuple(spreads),
    )


def axis_name(value: Json, axis: str) -> str:
    return f"number of {short(axis)}" if isinstance(value, list | tuple) else short(axis)
