"""The content of a sweep's report as plain values: its points, their comparisons with a baseline, confidence intervals over
queries and over seeds, and what the data could have shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from scipy.special import stdtrit

from xdr.comparison.clusters import clusters_of, mean_over_languages, resampled_by_cluster, units_by_language
from xdr.comparison.resampling import resampled_means
from xdr.comparison.significance import (
    Comparison,
    Testing,
    corrected_together,
    paired_differences,
    too_few_samples,
)
from xdr.errors import UserError, did_you_mean
from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import MACRO, Means, PerQuery, means
from xdr.storage.jobs import Job, read_jobs
from xdr.studies.points import (
    BASELINE,
    Point,
    axis_position,
    collect_points,
    job_setting,
    refuse_changed_artifacts,
    setting_name,
    setting_text,
)
from xdr.studies.power import smallest_difference
from xdr.studies.references import chosen_points, points_with, references
from xdr.studies.settings import SweepSettings

Interval = tuple[float, float]


@dataclass(frozen=True)
class SweepReport:
    """`points` scored queries; `trainings` are the points of train.py, which did not. `reference` maps the name of a point to
    the name of the point that it is compared with. `elsewhere` are the values of points on the queries of sweep.choose_from."""

    folder: str
    metric: str
    metrics: tuple[str, ...]
    points: tuple[Point, ...]
    trainings: tuple[Point, ...]
    reference: Mapping[str, str]
    means: Mapping[str, Mapping[str, Means]]
    comparisons: Mapping[tuple[str, str, str], Comparison]
    jobs: tuple[Job, ...]
    testing: Testing
    settings: SweepSettings
    elsewhere: Mapping[str, float]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for point in (*self.points, *self.trainings) for key in point.settings))

    @property
    def distinguishing(self) -> tuple[str, ...]:
        """The axes without the settings of which the best value was chosen."""
        chosen = self.settings.chosen
        return tuple(key for key in self.axes if key not in chosen and setting_name(key) not in chosen)

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(code for p in self.points for code in self.means[p.name][self.metric].by_language))

    @property
    def has_repeats(self) -> bool:
        return any(len(point.repeats) > 1 for point in self.points)

    def comparison(self, point: str, metric: str = "", language: str = MACRO) -> Comparison | None:
        return self.comparisons.get((metric or self.metric, point, language))

    def comparisons_by(self, metric: str) -> list[Comparison]:
        return [comparison for comparison in self.comparisons.values() if comparison.metric == metric]

    def value(self, point: str, metric: str = "", language: str = MACRO) -> float:
        return self.means[point][metric or self.metric].as_json()[language]

    def warnings(self) -> list[str]:
        return too_few_samples(self.comparisons_by(self.metric), self.testing.num_samples)

    @property
    def eligible(self) -> Sequence[Point]:
        """The points that the answer may be about."""
        wanted = self.settings.answer
        return points_with(self.points, wanted, "sweep.answer") if wanted and self.points else self.points

    def best(self) -> Point | None:
        """Of the eligible points, the best on the queries of sweep.choose_from, or else on these."""
        among = self.eligible
        values = self.elsewhere or {point.name: self.value(point.name) for point in among}
        sign = -1 if counts_ranks(self.metric) else 1
        return max(among, key=lambda point: sign * values[point.name], default=None)

    def smallest_difference(self, point: Point) -> float | None:
        """The smallest difference from its reference that the test could have found for this point."""
        reference = self.reference[point.name]
        before = next(other.values for other in self.points if other.name == reference)
        differences = paired_differences({reference: before, point.name: point.values}, reference, point.name, self.metric)
        clusters, units = clusters_of(before.query_ids, self.testing.cluster), None
        if clusters is not None:
            by_language = units_by_language(before.query_ids, before.rows_by_language(self.metric), clusters)
            units = [by_language[language] for language in differences]
        return smallest_difference(list(differences.values()), np.random.default_rng(self.testing.seed), units)


def sweep_report(folder: str, jobs: Sequence[Job], settings: SweepSettings, testing: Testing) -> SweepReport:
    refuse_changed_artifacts(jobs)
    collected = sorted(collect_points(jobs, settings.repeated), key=_order)
    points = tuple(point for point in collected if point.repeats)
    metrics = _shared_metrics(points)
    metric = _headline(settings.metric, jobs, metrics)
    elsewhere = _values_elsewhere(settings, metric) if points and settings.choose_from is not None else {}
    if settings.chosen and points:
        points = tuple(chosen_points(points, settings.chosen, elsewhere, metric))
    scored = {point.name: point.values for point in points}
    reference = references(points, settings.baseline, settings.chosen) if scored else {}
    return SweepReport(
        folder=folder,
        metric=metric,
        metrics=metrics,
        points=points,
        trainings=tuple(point for point in collected if not point.repeats),
        reference=reference,
        means={name: {metric: means(values, metric) for metric in metrics} for name, values in scored.items()},
        comparisons=_compared(scored, reference, metrics, testing),
        jobs=tuple(jobs),
        testing=testing,
        settings=settings,
        elsewhere=elsewhere,
    )


def _shared_metrics(points: Sequence[Point]) -> tuple[str, ...]:
    every = dict.fromkeys(metric for point in points for metric in point.values.values)
    metrics = tuple(metric for metric in every if all(metric in point.values.values for point in points))
    if points and not metrics:
        raise UserError("the jobs of a sweep must have a metric in common, got none. Give all the same evaluation.metrics")
    return metrics


def _values_elsewhere(settings: SweepSettings, metric: str) -> dict[str, float]:
    """By the names of points, their values in the sweep of sweep.choose_from."""
    assert settings.choose_from is not None
    points = collect_points(read_jobs(Path(settings.choose_from)), settings.repeated)
    return {point.name: means(point.values, metric).macro for point in points if point.repeats}


def _order(point: Point) -> tuple[bool, str, list[tuple[float, str]]]:
    """Baselines first, then by system and settings, with ascending numbers and lengths."""
    positions = [(axis_position(value, key), setting_text(value)) for key, value in point.settings.items()]
    return point.system != BASELINE, point.system, [(inf if at is None else at, text) for at, text in positions]


def _headline(wanted: str | None, jobs: Sequence[Job], metrics: Sequence[str]) -> str:
    if wanted is None:
        headlines = [str(job_setting(job, "evaluation.headline")) for job in jobs if job.state == "done"]
        return next((name for name in (*headlines, *metrics) if name in metrics), "")
    if metrics and wanted not in metrics:
        remedy = did_you_mean(wanted, metrics) or f"these are {', '.join(metrics)}"
        raise UserError(f"sweep.metric must be a metric that all jobs scored, got {wanted}; {remedy}")
    return wanted


def _compared(
    scored: Mapping[str, PerQuery], reference: Mapping[str, str], metrics: Sequence[str], testing: Testing
) -> dict[tuple[str, str, str], Comparison]:
    generator = np.random.default_rng(testing.seed)
    comparisons: list[Comparison] = []
    for metric in metrics:
        for baseline in dict.fromkeys(reference.values()):
            members = {name: scored[name] for name, other in reference.items() if other == baseline}
            comparisons += testing.compare({baseline: scored[baseline], **members}, baseline, metric, generator)
    return {
        (comparison.metric, comparison.system, comparison.language): comparison
        for comparison in corrected_together(comparisons)
    }


def repeat_values(report: SweepReport, point: Point, metric: str = "", language: str = MACRO) -> list[float]:
    """The value of each repetition."""
    if not point.repeats:
        return list(point.results)
    return [means(values, metric or report.metric).as_json()[language] for values in point.repeats]


def seed_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Student's confidence interval of the mean over repetitions: other seeds, the same queries. None for one repetition."""
    if len(values) < 2:
        return None
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half


def query_interval(report: SweepReport, point: Point, language: str) -> Interval:
    """The confidence interval over queries. For a point that is compared: its baseline's value plus the interval of the
    difference."""
    if (comparison := report.comparison(point.name, language=language)) is not None:
        before = report.value(report.reference[point.name], language=language)
        return before + comparison.confidence_interval[0], before + comparison.confidence_interval[1]
    values, testing = point.values, report.testing
    rows = values.rows_by_language(report.metric)
    shown = {code: rows[code] for code in (rows if language == MACRO else [language])}
    of_queries = {code: values.metric(report.metric)[of_language, None] for code, of_language in shown.items()}
    generator, clusters = np.random.default_rng(testing.seed), clusters_of(values.query_ids, testing.cluster)
    if clusters is None:
        drawn = {code: resampled_means(each, testing.num_samples, generator) for code, each in of_queries.items()}
    else:
        units = units_by_language(values.query_ids, shown, clusters)
        drawn = resampled_by_cluster(of_queries, units, testing.num_samples, generator)[1]
    means_M = mean_over_languages([of_language[:, 0] for of_language in drawn.values()])
    low, high = np.nanquantile(means_M, [(1 - testing.confidence) / 2, (1 + testing.confidence) / 2])
    return float(low), float(high)
