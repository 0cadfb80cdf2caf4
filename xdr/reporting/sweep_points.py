"""A sweep's jobs as points: one for each system of each combination of settings, repetitions put together."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import ENVIRONMENT, PER_QUERY, read_metrics
from xdr.retrieval.fusion import system_name
from xdr.storage.files import read_json
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import Job

BASELINE, ALPHA = "baseline", "augmentation.alpha"

Settings = dict[str, Json]


@dataclass(frozen=True)
class Point:
    """`settings` are those that the sweep varies. `repeats` are the same but for a seed, and `values` their means, query by
    query. `figures` are what jobs returned that scored no queries: those of train.py."""

    name: str
    kind: str
    settings: Mapping[str, Json]
    jobs: tuple[str, ...]
    repeats: tuple[PerQuery, ...] = ()
    figures: tuple[float, ...] = ()

    @cached_property
    def values(self) -> PerQuery:
        return mean_of(self.repeats, self.name)


@dataclass
class _Growing:
    settings: Settings
    jobs: list[str]
    repeats: dict[str, PerQuery]
    figures: list[float]


def points_of(jobs: Sequence[Job], repeated: Sequence[str]) -> list[Point]:
    """Of those that are done. Seeds and what is `repeated` make repetitions; all else that varies makes points."""
    done = [job for job in jobs if job.state == "done"]
    keys = varied(done)
    seeds = [key for key in keys if key in repeated or key.rsplit(".", 1)[-1] == "seed"]
    found: dict[str, _Growing] = {}
    for job in done:
        of_job = {key: setting(job, key) for key in keys}
        repeat = json.dumps([of_job[key] for key in seeds])
        own = {key: value for key, value in of_job.items() if key not in seeds}
        for kind, settings, values in _systems(job, own):
            point = found.setdefault(_name(kind, settings), _Growing(settings, [], {}, []))
            point.jobs.append(job.name)
            if values is not None:
                point.repeats.setdefault(repeat, values)
            elif job.value is not None:
                point.figures.append(job.value)
    return [
        Point(name, name.split(" ", 1)[0], its.settings, tuple(its.jobs), tuple(its.repeats.values()), tuple(its.figures))
        for name, its in found.items()
        if its.repeats or its.figures
    ]


def _systems(job: Job, settings: Settings) -> Iterator[tuple[str, Settings, PerQuery | None]]:
    """What is fused does not change the baseline: it has no setting of the augmentation."""
    if not (job.folder / PER_QUERY).is_file():
        yield "run", settings, None
        return
    augmentation: Any = job.settings.get("augmentation") or {}
    alpha = augmentation.get("alpha")
    fusion = augmentation.get("fusion", "")
    alphas = {system_name(fusion, each): each for each in (alpha if isinstance(alpha, list) else [alpha]) if each is not None}
    for system, values in read_metrics(job.folder).items():
        if system == BASELINE:
            yield BASELINE, {key: value for key, value in settings.items() if not key.startswith("augmentation")}, values
        elif system in alphas:
            fused = {key: value for key, value in settings.items() if key != "augmentation.fusion"}
            yield fusion, {**fused, ALPHA: alphas[system]}, values
        elif ":" not in system:  # that of an earlier evaluation, which compare_to named
            yield system, {key: value for key, value in settings.items() if key != ALPHA}, values


def refuse_changed(jobs: Sequence[Job]) -> None:
    """A path says nothing of what it holds: an encoder that was trained anew under its old name is found out here."""
    seen: dict[str, tuple[Json, Job]] = {}
    for job in jobs:
        if job.state != "done" or not (job.folder / ENVIRONMENT).is_file():
            continue
        made_of = read_json(job.folder / ENVIRONMENT)
        fingerprints = [made_of.get("encoder"), made_of.get("collection")]
        named = json.dumps([job.settings.get(key) for key in ("checkpoint", "data", "evaluation")], sort_keys=True)
        before, other = seen.setdefault(named, (fingerprints, job))
        if before != fingerprints:
            older, newer = sorted([other, job], key=lambda each: each.started)
            raise UserError(
                f"jobs {older.name} and {newer.name} name the same checkpoint and collection, and one of these was made anew "
                f"in between. Remove {older.folder} and all that are as old, and run the sweep again"
            )


def varied(jobs: Sequence[Job]) -> list[str]:
    """The keys of the jobs' overrides that have more than one value among them."""
    keys = dict.fromkeys(_key(override) for job in jobs for override in job.overrides)
    return [key for key in keys if len({json.dumps(setting(job, key), sort_keys=True) for job in jobs}) > 1]


def setting(job: Job, key: str) -> Json:
    """A value; of a group (data, model) the choice. What has no influence on a result is no setting here."""
    node: Any = {"experiment": {}, **job.settings}
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        return node  # type: ignore[no-any-return]  # it was read as JSON
    return next((override.split("=", 1)[1] for override in job.overrides if _key(override) == key), None)


def short(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def told(value: Json) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    if value is None:
        return "all"
    return f"{value:g}" if isinstance(value, float) else str(value)


def place(value: Json, axis: str) -> float | None:
    """Where a value stands on its axis: a number where it is, a list where its length is. 0 questions are all of them, and
    stand nowhere."""
    if isinstance(value, list | tuple):
        return float(len(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or (axis == "augmentation.number" and value == 0):
        return None
    return float(value)


def _name(kind: str, settings: Settings) -> str:
    return " ".join([kind, *(f"{short(key)}={told(value)}" for key, value in settings.items())])


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~").rsplit("@", 1)[-1]


def mean_of(repeats: Sequence[PerQuery], name: str) -> PerQuery:
    """Of each query over the repetitions."""
    first = repeats[0]
    if any(each.query_ids != first.query_ids for each in repeats):
        raise UserError(f"the repetitions of {name} are of other queries; was the benchmark or its split changed in between?")
    metrics = [metric for metric in first.values if all(metric in each.values for each in repeats)]
    means = {metric: np.mean([each.values[metric] for each in repeats], axis=0) for metric in metrics}
    return PerQuery(first.query_ids, first.languages, means)
