"""A sweep (`-m`): its folder, its jobs, checks before it starts, and a summary at its end."""

import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from conf.job import fingerprinted
from conf.mistakes import key_of
from conf.targets import TARGET
from xdr.errors import UserError
from xdr.storage.jobs import finished_folders, is_sweep, job_name, read_jobs, read_listing, write_listing

READING: dict[str, tuple[str, ...] | None] = {
    "sweep": None,
    "evaluation": ("num_samples", "confidence", "seed", "cluster"),
}
"""The settings with which a sweep is read, and which are kept with it; None stands for the whole group."""


@dataclass(frozen=True)
class Sweep:
    """`jobs` maps names to overrides; it is empty where a sweeper proposes jobs one after the other. `overrides` are those of
    the command, with what the YAML files vary, and with the folders that SWEEP/* names."""

    folder: Path
    jobs: Mapping[str, list[str]]
    done_before: frozenset[str]
    overrides: list[str]


def is_multirun(settings: DictConfig) -> bool:
    """Of settings that were composed with Hydra's own."""
    mode = settings.hydra.mode
    return bool({"-m", "--multirun"}.intersection(sys.argv)) if mode is None else bool(mode.name == "MULTIRUN")


def plan(overrides: list[str], settings: DictConfig, compose: Callable[[list[str]], DictConfig]) -> Sweep:
    """Composes every job and refuses what cannot work, before the first job starts.

    `settings` are those that all jobs share, with Hydra's own."""
    _refuse_ranks()
    is_grid = settings.hydra.sweeper._target_.endswith("BasicSweeper")
    params = [f"{key}={value}" for key, value in (settings.hydra.sweeper.get("params") or {}).items()]
    if is_grid and params:
        overrides = ["hydra.sweeper.params=null", *_unless_given(params, overrides), *overrides]
        params = []
    overrides = [_with_jobs(override) for override in overrides]
    parsed = _parsed([*params, *overrides])
    _refuse_several_folders(parsed)
    jobs: dict[str, list[str]] = {}
    for job in _grid(parsed) if is_grid else _each_value_once(parsed):
        composed = compose(job)
        if composed.plan:
            raise UserError("plan=true must be used for one job, got a sweep (-m). Plan one of its jobs without -m")
        if composed.get("stage") == "sweep":
            raise UserError("stage=sweep must be used without -m, study= and experiments that sweep. Give output_dir alone")
        _refuse_processes(composed, settings.hydra.launcher._target_)
        _refuse_wrong_direction(composed, settings.hydra.sweeper.get("direction"))
        name = job_name(fingerprinted(composed))
        if is_grid and name in jobs:
            raise UserError(
                f"two jobs would have the same settings: '{' '.join(jobs[name])}' and '{' '.join(job)}'; leave one out"
            )
        jobs[name] = [override for override in job if not override.lstrip("+~").startswith("hydra")]
    folder = Path(settings.output_dir)
    done = {job.name for job in read_jobs(folder) if job.state == "done"} if is_sweep(folder) else set()
    write_listing(folder, jobs if is_grid else {}, _command(), _reading(settings))
    return Sweep(folder, jobs if is_grid else {}, frozenset(done), overrides)


def as_kept(settings: DictConfig, overrides: list[str]) -> DictConfig:
    """The settings of stage=sweep: those that the sweep was started with, and those on the command line, which win."""
    if not is_sweep(Path(settings.output_dir)):
        return settings
    reading = read_listing(Path(settings.output_dir))["reading"]
    for override in overrides:
        *groups, last = key_of(override).split(".")
        node = reading
        for group in groups:
            node = node.get(group) or {}
        node.pop(last, None)
    kept = OmegaConf.merge(settings, reading)
    assert isinstance(kept, DictConfig)
    return kept


def _reading(settings: DictConfig) -> dict[str, Any]:
    """The settings with which stage=sweep reads this sweep, without the names of classes."""
    groups = {group: OmegaConf.to_container(settings[group], resolve=True) for group in READING if group in settings}
    kept: dict[str, Any] = _without_targets(groups)
    return {group: {key: values[key] for key in READING[group] or values} for group, values in kept.items()}


def _without_targets(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_targets(its) for key, its in value.items() if key != TARGET}


def _command() -> str:
    return shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])


def _unless_given(params: list[str], overrides: list[str]) -> list[str]:
    given = set(map(key_of, overrides))
    return [param for param in params if key_of(param) not in given]


def _with_jobs(override: str) -> str:
    """The override with the folders of a sweep's jobs in the place of SWEEP/*."""
    key, _, value = override.partition("=")
    if not re.search(r"/\*['\"]?(,|$)", value):
        return override
    (parsed,) = _parsed([override])
    values = parsed.sweep_string_iterator() if parsed.is_sweep_override() else [parsed.get_value_string()]
    words = [_folders(str(value)) for value in values]
    return f"{key}={','.join(word for group in words for word in group)}"


def _folders(value: str) -> list[str]:
    bare = value.strip("'\"")
    return [f"'{folder}'" for folder in finished_folders(Path(bare[:-2]))] if bare.endswith("/*") else [value]


def common(overrides: list[str]) -> list[str]:
    """The overrides that all jobs share."""
    return [str(override.input_line) for override in _parsed(overrides) if not override.is_sweep_override()]


def report(sweep: Sweep) -> int:
    """Prints what became of the jobs. Returns the exit status."""
    jobs = [job for job in read_jobs(sweep.folder) if not sweep.jobs or job.name in sweep.jobs]
    states = [f"{job.state} before" if job.name in sweep.done_before else job.state for job in jobs]
    said = [f"{states.count(state)} {state}" for state in dict.fromkeys(["done", "done before", "failed", *states])]
    print(f"\n{len(jobs)} jobs in {sweep.folder}: {', '.join(count for count in said if not count.startswith('0 '))}")
    for job in jobs:
        if job.state == "failed":
            print(f"job {job.name} failed: {job.error}")
    if "failed" in states:
        print("Run the same command with retry=true to run the failed jobs again.")
    print(f"To read the sweep: python evaluate.py stage=sweep output_dir={sweep.folder}")
    return int(any(job.state != "done" for job in jobs))


def _parsed(overrides: list[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise UserError(f"'{error.override}' cannot be read: {_how_to_write(str(error.override), error)}") from None


def _how_to_write(override: str, error: Exception) -> str:
    key, _, value = override.partition("=")
    if value and not set(value).intersection("'\"[]{}(),"):
        return f"put a value with other characters than ASCII letters, digits and -_./ in quotation marks: \"{key}='{value}'\""
    return str(error).splitlines()[0]


def _grid(overrides: list[Override]) -> Iterator[list[str]]:
    """In the order of Hydra's own sweeper."""
    return map(list, itertools.product(*map(_values, overrides)))


def _each_value_once(overrides: list[Override]) -> Iterator[list[str]]:
    values = [_values(override) for override in overrides]
    yield [first for first, *_ in values]
    for place, choices in enumerate(values):
        for value in choices[1:]:
            yield [value if at == place else first for at, (first, *_) in enumerate(values)]


def _values(override: Override) -> list[str]:
    """One override of a single job for each value it sweeps over; of an interval its ends."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if isinstance(interval := override.value(), IntervalSweep):
        return [f"{key}={interval.start}", f"{key}={interval.end}"]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _refuse_ranks() -> None:
    if "LOCAL_RANK" in os.environ:
        raise UserError(
            "a sweep must be started by one process, but LOCAL_RANK is set: this is one of several. Start it without torchrun "
            "and with hydra/launcher=subprocess; each job then starts trainer.devices processes"
        )


def _refuse_several_folders(overrides: list[Override]) -> None:
    for override in overrides:
        if override.is_sweep_override() and override.get_key_element() in ("output_dir", "artifacts_dir", "artifacts_mirror"):
            raise UserError(
                f"{override.get_key_element()} must have one value for the whole sweep; each job gets its own folder in it"
            )


def _refuse_processes(settings: DictConfig, launcher: str) -> None:
    """Refuses jobs of several processes where Lightning's DDP would run the whole command line again in each process."""
    trainer = settings.get("trainer")
    if trainer is None:
        return
    if trainer.num_nodes > 1:
        raise UserError(f"trainer.num_nodes must be 1 in a sweep, got {trainer.num_nodes}. Start each job without -m")
    if "spawn" in trainer.strategy or launcher.endswith("SubprocessLauncher") or str(trainer.devices) in ("1", "[0]"):
        return
    gpus = ""
    if trainer.devices == "auto":
        if trainer.accelerator == "cpu" or (count := _num_gpus()) < 2:
            return
        gpus = f" ({count} GPUs)"
    raise UserError(
        f"trainer.devices must be 1 in a sweep in one process, got {trainer.devices}{gpus}: each process would run the whole "
        "sweep. Add hydra/launcher=subprocess, or set trainer.strategy=ddp_spawn or trainer.devices=1"
    )


def _num_gpus() -> int:
    """GPUs that Lightning's `auto` would use, counted without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(list(Path("/dev").glob("nvidia[0-9]*")))
    return len([card for card in visible.split(",") if card.strip() not in ("", "-1")])


def _refuse_wrong_direction(settings: DictConfig, direction: Any) -> None:
    """Optuna minimises by default."""
    name = getattr(direction, "name", direction)
    if not isinstance(name, str):
        return
    checkpoints = (settings.get("callbacks") or {}).get("checkpoints") or {}
    right = "minimize" if checkpoints.get("mode") == "min" else "maximize"
    if name != right:
        what = f"the best value of {checkpoints['monitor']}" if checkpoints else "the headline metric of the best system"
        raise UserError(f"hydra.sweeper.direction must be {right} for {what}, got {name}")
