"""What a sweep says, as plain values: its points, each compared with its baseline; what other queries and seeds would say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean, stdev

import numpy as np
from scipy.special import stdtrit

from xdr.errors import UserError, did_you_mean
from xdr.evaluation.per_query import MACRO, Means, PerQuery, means
from xdr.evaluation.resampling import resampled_means
from xdr.evaluation.significance import Comparison, Testing, compare_systems, corrected_together, too_few_samples
from xdr.reporting.sweep_points import BASELINE, Point, place, points_of, refuse_changed, setting, told
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

    def warnings(self) -> list[str]:
        of_metric = [each for (metric, _, _), each in self.comparisons.items() if metric == self.metric]
        return too_few_samples(of_metric, self.testing.num_samples)

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
