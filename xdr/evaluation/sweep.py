"""What a sweep says, as plain values: its points, each compared with its baseline, and curves along what was varied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf
from statistics import fmean, stdev

import numpy as np
from scipy.special import stdtrit

from xdr.errors import UserError, did_you_mean
from xdr.evaluation.per_query import MACRO, Means, PerQuery, means
from xdr.evaluation.report import AlphaCurve, is_significant
from xdr.evaluation.resampling import resampled_means
from xdr.evaluation.significance import Comparison, Testing, compare_systems, corrected_together
from xdr.evaluation.sweep_points import BASELINE, Point, points_of, refuse_changed, setting, short, told
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import Job

Interval = tuple[float, float]


@dataclass(frozen=True)
class SweepReport:
    """`points` scored queries, `runs` are those of train.py. `reference` tells with which point each is compared."""

    folder: str
    metric: str
    metrics: tuple[str, ...]
    points: tuple[Point, ...]
    runs: tuple[Point, ...]
    reference: Mapping[str, str]
    means: Mapping[str, Mapping[str, Means]]
    comparisons: Mapping[tuple[str, str, str], Comparison]
    jobs: tuple[Job, ...]
    testing: Testing

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for point in (*self.points, *self.runs) for key in point.settings))

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(code for p in self.points for code in self.means[p.name][self.metric].by_language))

    def comparison(self, point: str, metric: str = "", language: str = MACRO) -> Comparison | None:
        return self.comparisons.get((metric or self.metric, point, language))

    def value(self, point: str, metric: str = "", language: str = MACRO) -> float:
        return self.means[point][metric or self.metric].as_json()[language]

    def best(self) -> Point | None:
        return max(self.points, key=lambda point: self.value(point.name), default=None)


def sweep_report(
    folder: str, jobs: Sequence[Job], metric: str | None, baseline: str, repeated: Sequence[str], testing: Testing
) -> SweepReport:
    """`metric` is that of the jobs' own headline where none is named. `baseline` is a kind of system (each point is compared
    with that of its own encoder and data), or a point's name."""
    refuse_changed(jobs)
    points = sorted(points_of(jobs, repeated), key=_order)
    scored = {point.name: point.values for point in points if point.repeats}
    metrics = tuple(dict.fromkeys(metric for values in scored.values() for metric in values.values))
    metrics = tuple(metric for metric in metrics if all(metric in values.values for values in scored.values()))
    if scored and not metrics:
        raise UserError("the jobs of this sweep have no metric in common; give them the same evaluation.metrics")
    reference = _references([point for point in points if point.repeats], baseline) if scored else {}
    return SweepReport(
        folder=folder,
        metric=_front(metric, jobs, metrics),
        metrics=metrics,
        points=tuple(point for point in points if point.repeats),
        runs=tuple(point for point in points if not point.repeats),
        reference=reference,
        means={name: {metric: means(values, metric) for metric in metrics} for name, values in scored.items()},
        comparisons=_compared(scored, reference, metrics, testing),
        jobs=tuple(jobs),
        testing=testing,
    )


def _order(point: Point) -> tuple[bool, str, list[tuple[float, str]]]:
    """The baselines, then by settings: numbers and lengths ascending."""
    settings = [(place(value, key), told(value)) for key, value in point.settings.items()]
    return point.kind != BASELINE, point.kind, [(inf if at is None else at, words) for at, words in settings]


def _front(wanted: str | None, jobs: Sequence[Job], metrics: Sequence[str]) -> str:
    if wanted is None:
        headlines = [str(setting(job, "evaluation.headline")) for job in jobs if job.state == "done"]
        return next((name for name in (*headlines, *metrics) if name in metrics), "")
    if metrics and wanted not in metrics:
        remedy = did_you_mean(wanted, metrics) or f"they have {', '.join(metrics)}"
        raise UserError(f"sweep.metric={wanted} was not scored by all jobs; {remedy}")
    return wanted


def _references(points: Sequence[Point], baseline: str) -> dict[str, str]:
    """By point. The baseline itself is compared with nothing, nor is a point whose baseline is not there."""
    names = [point.name for point in points]
    if baseline in names and baseline != BASELINE:
        return {name: baseline for name in names if name != baseline}
    of_kind = {_outside(point): point.name for point in points if point.kind == baseline}
    if not of_kind:
        raise UserError(
            f"sweep.baseline={baseline} is no point of this sweep; "
            f"{did_you_mean(baseline, names) or 'there are ' + ', '.join(names[:8])}"
        )
    return {point.name: of_kind[_outside(point)] for point in points if point.kind != baseline and _outside(point) in of_kind}


def _outside(point: Point) -> str:
    """What is varied besides the augmentation: the encoder, the data."""
    return str([(key, value) for key, value in point.settings.items() if not key.startswith("augmentation")])


def _compared(
    scored: Mapping[str, PerQuery], reference: Mapping[str, str], metrics: Sequence[str], testing: Testing
) -> dict[tuple[str, str, str], Comparison]:
    generator = np.random.default_rng(testing.seed)
    found: list[Comparison] = []
    for metric in metrics:
        for baseline in dict.fromkeys(reference.values()):
            members = {name: scored[name] for name, other in reference.items() if other == baseline}
            found += compare_systems(
                {baseline: scored[baseline], **members},
                baseline,
                metric,
                num_samples=testing.num_samples,
                confidence=testing.confidence,
                generator=generator,
            )
    return {(each.metric, each.system, each.language): each for each in corrected_together(found)}


def too_few_samples(report: SweepReport) -> str:
    """Randomisation finds no p below 1 / (samples + 1), and Holm's method multiplies the least by the number of tests."""
    number = sum(metric == report.metric for metric, _, _ in report.comparisons)
    level = 1 - report.testing.confidence
    if number <= level * (report.testing.num_samples + 1):
        return ""
    return (
        f"evaluation.num_samples={report.testing.num_samples} is too few for {number} comparisons: none can be significant "
        f"after correction. Set {ceil(number / level)} or more."
    )


def repeat_values(report: SweepReport, point: Point, metric: str = "", language: str = MACRO) -> list[float]:
    """Of each repetition."""
    if not point.repeats:
        return list(point.figures)
    return [means(values, metric or report.metric).as_json()[language] for values in point.repeats]


def over_repeats(values: Sequence[float], confidence: float) -> Interval | None:
    """Student's interval of the mean over repetitions; what other seeds would give, on these very queries."""
    if len(values) < 2:
        return None
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half


def over_queries(report: SweepReport, point: Point, language: str) -> Interval:
    """What other queries would give. Of a point that is compared, that of its difference, set on its baseline."""
    if (comparison := report.comparison(point.name, language=language)) is not None:
        before = report.value(report.reference[point.name], language=language)
        return before + comparison.confidence_interval[0], before + comparison.confidence_interval[1]
    values = point.values
    rows = values.rows_by_language(report.metric)
    generator, testing = np.random.default_rng(report.testing.seed), report.testing
    of_languages = [
        resampled_means(values.metric(report.metric)[rows[code], None], testing.num_samples, generator)[:, 0]
        for code in (rows if language == MACRO else [language])
    ]
    low, high = np.quantile(np.mean(of_languages, axis=0), [(1 - testing.confidence) / 2, (1 + testing.confidence) / 2])
    return float(low), float(high)


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


def place(value: Json, axis: str) -> float | None:
    """Where a value stands on its axis: a number where it is, a list where its length is. 0 questions are all of them, and
    stand nowhere."""
    if isinstance(value, list | tuple):
        return float(len(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or (axis == "augmentation.number" and value == 0):
        return None
    return float(value)


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
