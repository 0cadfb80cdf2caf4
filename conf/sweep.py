"""A sweep (`-m`): its folder, which jobs there are, what cannot work, and how it ended."""

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig

from conf.job import counting
from xdr.errors import UserError
from xdr.storage.jobs import is_sweep, job_name, read_jobs, write_listing


@dataclass(frozen=True)
class Sweep:
    """`jobs` are overrides by name; none where a sweeper proposes them one after the other."""

    folder: Path
    jobs: Mapping[str, list[str]]
    done_before: frozenset[str]


def is_multirun(settings: DictConfig) -> bool:
    """Of settings that were composed with Hydra's own."""
    mode = settings.hydra.mode
    return bool({"-m", "--multirun"}.intersection(sys.argv)) if mode is None else bool(mode.name == "MULTIRUN")


def plan(overrides: list[str], settings: DictConfig, compose: Callable[[list[str]], DictConfig]) -> Sweep:
    """Composes every job, and refuses what cannot work before the first one starts. `settings` are what all have in common,
    with Hydra's own."""
    _refuse_ranks()
    params = settings.hydra.sweeper.get("params") or {}
    parsed = _parsed([*(f"{key}={value}" for key, value in params.items()), *overrides])
    _refuse_several_folders(parsed)
    is_grid = settings.hydra.sweeper._target_.endswith("BasicSweeper")
    jobs: dict[str, list[str]] = {}
    for job in _grid(parsed) if is_grid else _each_value_once(parsed):
        composed = compose(job)
        if composed.plan:
            raise UserError("plan=true is of one job, and a sweep has several; plan one of them without -m")
        _refuse_processes(composed, settings.hydra.launcher._target_)
        _refuse_the_wrong_direction(composed, settings.hydra.sweeper.get("direction"))
        name = job_name(counting(composed))
        if is_grid and name in jobs:
            raise UserError(f"two jobs would come to the same: '{' '.join(jobs[name])}' and '{' '.join(job)}'; leave one out")
        jobs[name] = [override for override in job if not override.lstrip("+~").startswith("hydra")]
    folder = Path(settings.output_dir)
    done = {job.name for job in read_jobs(folder) if job.state == "done"} if is_sweep(folder) else set()
    write_listing(folder, jobs if is_grid else {})
    return Sweep(folder, jobs if is_grid else {}, frozenset(done))


def common(overrides: list[str]) -> list[str]:
    """Without what is swept over."""
    return [str(override.input_line) for override in _parsed(overrides) if not override.is_sweep_override()]


def report(sweep: Sweep) -> int:
    """What became of the jobs, in the terminal; the exit status."""
    jobs = [job for job in read_jobs(sweep.folder) if not sweep.jobs or job.name in sweep.jobs]
    states = [f"{job.state} before" if job.name in sweep.done_before else job.state for job in jobs]
    said = [f"{states.count(state)} {state}" for state in dict.fromkeys(["done", "done before", "failed", *states])]
    print(f"\n{len(jobs)} jobs in {sweep.folder}: {', '.join(count for count in said if not count.startswith('0 '))}")
    for job in jobs:
        if job.state == "failed":
            print(f"job {job.name} failed: {job.error}")
    if "failed" in states:
        print("The same command with retry=true does the failed ones again.")
    print(f"To read it: python evaluate.py stage=sweep output_dir={sweep.folder}")
    return int(any(job.state != "done" for job in jobs))


def _parsed(overrides: list[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise UserError(f"'{error.override}' cannot be read: {_how_to_write(str(error.override), error)}") from None


def _how_to_write(override: str, error: Exception) -> str:
    key, _, value = override.partition("=")
    if value and not set(value).intersection("'\"[]{}(),"):
        return f"a value of other than plain letters, digits and -_./ stands in quotation marks: \"{key}='{value}'\""
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
            "a sweep is started once, and this is one of several processes (LOCAL_RANK is set) that would each walk it. Start "
            "it without torchrun and with hydra/launcher=subprocess: each job then starts as many as trainer.devices says"
        )


def _refuse_several_folders(overrides: list[Override]) -> None:
    for override in overrides:
        if override.is_sweep_override() and override.get_key_element() in ("output_dir", "artifacts_dir"):
            raise UserError(f"{override.get_key_element()} is one for the whole sweep; each job has a folder of its own in it")


def _refuse_processes(settings: DictConfig, launcher: str) -> None:
    """Lightning's DDP starts its other processes by running the command line again."""
    trainer = settings.get("trainer")
    if trainer is None:
        return
    if trainer.num_nodes > 1:
        raise UserError(
            f"a job of a sweep has one machine, and trainer.num_nodes={trainer.num_nodes} came; start it without -m"
        )
    if "spawn" in trainer.strategy or launcher.endswith("SubprocessLauncher") or str(trainer.devices) in ("1", "[0]"):
        return
    cards = ""
    if trainer.devices == "auto":
        if trainer.accelerator == "cpu" or (found := _num_cards()) < 2:
            return
        cards = f", which are {found} here"
    raise UserError(
        f"a multirun cannot start the processes of trainer.devices={trainer.devices}{cards}: each would walk the sweep itself. "
        "Add hydra/launcher=subprocess, or set trainer.strategy=ddp_spawn or trainer.devices=1"
    )


def _num_cards() -> int:
    """Those that Lightning's `auto` would take, counted without the seconds that importing torch takes."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(list(Path("/dev").glob("nvidia[0-9]*")))
    return len([card for card in visible.split(",") if card.strip() not in ("", "-1")])


def _refuse_the_wrong_direction(settings: DictConfig, direction: Any) -> None:
    """Optuna's own default is to minimise."""
    name = getattr(direction, "name", direction)
    if not isinstance(name, str):
        return
    right = "minimize" if "direction" in (settings.get("model") or {}) else "maximize"
    if name != right:
        what = "a generator's loss, which should fall" if right == "minimize" else "a measure of retrieval, which should rise"
        raise UserError(f"hydra.sweeper.direction={name} would look for the worst: the value is {what}. Set it to {right}")
