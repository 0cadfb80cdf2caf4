"""The points of a sweep: one for each system and combination of settings, which collects the repetitions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import ENVIRONMENT, PER_QUERY, read_metrics
from xdr.storage.files import read_json
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import Job, job_of
from xdr.vectors.fusion import QUERIES, Side, both_name, system_name

BASELINE = "baseline"
ALPHAS = ("augmentation.alpha", "augmentation.hyde_alpha")
CORRECTION = "correction"
NOISE = "noise"
HYDE = "augmentation.hyde"
"""Begins the keys of what is fused into the queries."""
NOT_OF_BASELINE = ("augmentation", CORRECTION)
"""Groups of settings that do not change the baseline."""
CHECKPOINT = "checkpoint"
OF_TRAINING = f"{CHECKPOINT}."
"""Begins the keys of what the trainings of the checkpoints varied."""

Settings = dict[str, Json]


@dataclass(frozen=True)
class Point:
    """`settings` are the settings that the sweep varies. `repeats` are the values by query of each repetition, which differ
    only in a seed; `values` are their means, query by query. `results` are the values that train.py's jobs returned, which
    score no queries."""

    name: str
    system: str
    settings: Mapping[str, Json]
    jobs: tuple[str, ...]
    repeats: tuple[PerQuery, ...] = ()
    results: tuple[float, ...] = ()

    @cached_property
    def values(self) -> PerQuery:
        return mean_over(self.repeats, self.name)

    @property
    def mean_result(self) -> float:
        return fmean(self.results)


@dataclass
class _Collected:
    system: str
    settings: Settings
    jobs: list[str] = field(default_factory=list)
    repeats: dict[str, PerQuery] = field(default_factory=dict)
    results: list[float] = field(default_factory=list)


def collect_points(jobs: Sequence[Job], repeated: Sequence[str]) -> list[Point]:
    """The points of all finished jobs. Seeds and the settings in `repeated` distinguish repetitions; the other settings that
    vary distinguish points. In the place of a checkpoint that a sweep trained stand the settings that this sweep varied."""
    done = [job for job in jobs if job.state == "done"]
    points: dict[str, _Collected] = {}
    for job, of_job in _settings_that_vary(done):
        seeds = [key for key in of_job if key in repeated or setting_name(key) == "seed"]
        repeat = json.dumps([of_job[key] for key in seeds])
        of_point = {key: value for key, value in of_job.items() if key not in seeds}
        for system, settings, values in _systems(job, of_point):
            point = points.setdefault(point_name(system, settings), _Collected(system, settings))
            point.jobs.append(job.name)
            if values is not None:
                point.repeats.setdefault(repeat, values)
            elif job.value is not None:
                point.results.append(job.value)
    return [
        Point(name, point.system, point.settings, tuple(point.jobs), tuple(point.repeats.values()), tuple(point.results))
        for name, point in points.items()
        if point.repeats or point.results
    ]


def _settings_that_vary(jobs: Sequence[Job]) -> Iterator[tuple[Job, Settings]]:
    keys = _varied_settings(jobs)
    trainings = {str(job.settings.get(CHECKPOINT)): None for job in jobs} if CHECKPOINT in keys else {}
    origins = {checkpoint: found for checkpoint in trainings if (found := job_of(Path(checkpoint).expanduser()))}
    of_training = [key for key in _varied_settings(list(origins.values())) if key != CHECKPOINT]
    for job in jobs:
        origin = origins.get(str(job.settings.get(CHECKPOINT)))
        of_job = {key: job_setting(job, key) for key in keys if key != CHECKPOINT or not (origin and of_training)}
        yield job, of_job | ({OF_TRAINING + key: job_setting(origin, key) for key in of_training} if origin else {})


def _systems(job: Job, settings: Settings) -> Iterator[tuple[str, Settings, PerQuery | None]]:
    """Each system of a job with its settings and values, without the settings that do not change it: those of augmentation and
    correction for the baseline, those of noise for clean queries, those of the other side where one side is fused."""
    if not (job.folder / PER_QUERY).is_file():
        yield "run", settings, None
        return
    augmentation: Any = job.settings.get("augmentation") or {}
    fused = _fused_systems(augmentation)
    for full_name, values in read_metrics(job.folder).items():
        system, at, noise = full_name.partition("@")
        kept = settings if noise else _without(settings, NOISE)
        if system == BASELINE:
            yield full_name, _without(kept, *NOT_OF_BASELINE), values
        elif system in fused:
            name, alphas, sides = fused[system]
            kept = _without(kept, CORRECTION, "augmentation.fusion", "augmentation.hyde_fusion", *ALPHAS)
            of_sides = {key: value for key, value in kept.items() if (side := _side_of(key)) is None or side in sides}
            yield f"{name}{at}{noise}", of_sides | alphas, values
        elif ":" not in system:  # a colon marks a system of an earlier evaluation, named by compare_to
            yield full_name, _without(kept, *ALPHAS), values


def _fused_systems(augmentation: Mapping[str, Any]) -> dict[str, tuple[str, Settings, frozenset[Side]]]:
    """By the name of each fused system: the name without alphas, the alphas, and the sides that are fused."""

    def systems(side: Side, prefix: str, label: str) -> dict[str, tuple[str, Settings, frozenset[Side]]]:
        fusion, alpha = augmentation.get(f"{prefix}fusion", ""), augmentation.get(f"{prefix}alpha")
        alphas = alpha if isinstance(alpha, list) else [alpha]
        name, key, sides = system_name(fusion, None, label), f"augmentation.{prefix}alpha", frozenset({side})
        return {system_name(fusion, each, label): (name, {} if each is None else {key: each}, sides) for each in alphas}

    of_passages = systems("passages", "", "")
    of_queries = systems("queries", "hyde_", QUERIES) if augmentation.get("hyde") else {}
    both = {
        both_name(first, second): (both_name(name, other), alphas | other_alphas, sides | other_sides)
        for first, (name, alphas, sides) in of_passages.items()
        for second, (other, other_alphas, other_sides) in of_queries.items()
    }
    return of_passages | of_queries | both


def _side_of(key: str) -> Side | None:
    """Whose fusion a setting changes."""
    if not key.startswith("augmentation."):
        return None
    return "queries" if key.startswith(HYDE) else "passages"


def _without(settings: Settings, *groups: str) -> Settings:
    return {key: value for key, value in settings.items() if not key.startswith(groups)}


def refuse_changed_artifacts(jobs: Sequence[Job]) -> None:
    """Jobs that name the same checkpoint and collection must have used the same artifacts: an encoder may have been trained
    again under its old name."""
    seen: dict[str, tuple[Json, Job]] = {}
    for job in jobs:
        if job.state != "done" or not (job.folder / ENVIRONMENT).is_file():
            continue
        environment = read_json(job.folder / ENVIRONMENT)
        fingerprints = [environment.get("encoder"), environment.get("collection")]
        names = json.dumps([job.settings.get(key) for key in ("checkpoint", "data", "evaluation")], sort_keys=True)
        before, other = seen.setdefault(names, (fingerprints, job))
        if before != fingerprints:
            older, newer = sorted([other, job], key=lambda job: job.started)
            raise UserError(
                f"jobs {older.name} and {newer.name} name the same checkpoint and collection, but one of these was made again "
                f"in between. Remove {older.folder} and all older jobs, then run the sweep again"
            )


def _varied_settings(jobs: Sequence[Job]) -> list[str]:
    """The keys of the jobs' overrides with more than one value."""
    keys = dict.fromkeys(_key(override) for job in jobs for override in job.overrides)
    return [key for key in keys if len({json.dumps(job_setting(job, key), sort_keys=True) for job in jobs}) > 1]


def job_setting(job: Job, key: str) -> Json:
    """The value of a setting, or of a group (data, model) the option that was chosen. Settings that cannot change a result are
    None, since jobs do not record them."""
    node: Any = {"experiment": {}, **job.settings}
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    given = next((override.split("=", 1)[1] for override in job.overrides if _key(override) == key), None)
    if isinstance(node, dict) or (node is None and given == "none"):
        return given
    return node  # type: ignore[no-any-return]  # it was read as JSON


def setting_name(key: str) -> str:
    """The last part of a key: alpha for augmentation.alpha."""
    return key.rsplit(".", 1)[-1]


def setting_text(value: Json) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    if value is None:
        return "all"
    return f"{value:g}" if isinstance(value, float) else str(value)


def axis_position(value: Json, axis: str) -> float | None:
    """Where a value lies on its axis: a number at its value, a list at its length, anything else nowhere. 0 generated queries
    mean all of them, which is nowhere too."""
    if isinstance(value, list | tuple):
        return float(len(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or (axis == "augmentation.number" and value == 0):
        return None
    return float(value)


def settings_text(settings: Mapping[str, Json]) -> list[str]:
    """Like alpha=0.1."""
    return [f"{setting_name(key)}={setting_text(value)}" for key, value in settings.items()]


def point_name(system: str, settings: Mapping[str, Json]) -> str:
    return " ".join([system, *settings_text(settings)])


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~").rsplit("@", 1)[-1]


def mean_over(repeats: Sequence[PerQuery], name: str) -> PerQuery:
    """Each query's mean over the repetitions."""
    first = repeats[0]
    if any(repeat.query_ids != first.query_ids for repeat in repeats):
        raise UserError(
            f"repetitions of a point must score the same queries, and those of {name} do not. Run the sweep again if the "
            "benchmark or its split changed in between"
        )
    metrics = [metric for metric in first.values if all(metric in repeat.values for repeat in repeats)]
    means = {metric: np.mean([repeat.values[metric] for repeat in repeats], axis=0) for metric in metrics}
    return PerQuery(first.query_ids, first.languages, means)
