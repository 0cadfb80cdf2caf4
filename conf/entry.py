"""How train.py and evaluate.py start: compose the settings, check them in a fraction of a second, and run the job.

A user's mistake is printed as one sentence with its remedy."""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from conf import schema, sweep, targets
from conf.job import INTERRUPTED, run_job
from conf.labels import labels_of
from conf.mistakes import COMPOSE_ERRORS, FOLDER, choices_among, compose_unchecked, explain, key_of, require_folder
from conf.schema import check_settings
from xdr.console import COMMAND
from xdr.data.part_of_training import PartOfTraining
from xdr.errors import STOPPED, Unfinished, UserError, did_you_mean, print_in_any_terminal, shown
from xdr.sharding.disk_space import explaining_the_disk
from xdr.storage.remote import is_remote

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

_INFORMATION = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--version"}


def run(name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes `conf/<name>.yaml` with the command line, checks it, and calls `task` with it, once for each job."""
    print_in_any_terminal()
    sys.argv[0] = os.environ.get(COMMAND, sys.argv[0])  # Hydra's completion is for the command that it finds there
    planned = None
    try:
        if not _INFORMATION.intersection(sys.argv):
            planned = check(name, [*_own_files(sys.argv[1:]), *(word for word in sys.argv[1:] if _is_override(word))])
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises errors; else it prints parts of them
        with explaining_the_disk():  # of Hydra's own files
            hydra.main(version_base="1.3", config_path=str(FOLDER), config_name=name)(partial(_job, task))()
    except UserError as error:
        _exit(error)
    except KeyboardInterrupt:
        print(f"\n{STOPPED}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        status = sweep.report(planned) if planned else 0
    if status:
        sys.exit(status)


def check(name: str, overrides: list[str]) -> sweep.Sweep | None:
    """Checks every job of the command line before the first one starts. Returns None for a single job."""
    settings = compose(name, sweep.common(overrides), with_hydra=True)
    HydraConfig.instance().set_config(settings)  # output_dir refers to it
    if not sweep.is_multirun(settings):
        compose(name, overrides)
        _require_folders(settings)
        return None
    _require_folders(settings)
    if not any(override.startswith("output_dir=") for override in overrides):
        overrides = [*overrides, f"output_dir='{settings.output_dir}'"]
    planned = sweep.plan(overrides, settings, partial(compose, name))
    sys.argv[1:] = [*(word for word in sys.argv[1:] if not _is_override(word)), *planned.overrides]  # argparse: side by side
    return planned


def _require_folders(settings: DictConfig) -> None:
    for name in ("output_dir", "artifacts_dir"):
        if name in settings and not is_remote(str(settings[name])):
            require_folder(name, str(settings[name]))


def _own_files(words: list[str]) -> list[str]:
    """`--config-dir FOLDER` as an override, so that the check before Hydra's start finds a user's own YAML files."""
    for flag in ("--config-dir", "-cd"):
        if flag in words[:-1]:
            return [f"hydra.searchpath=['file://{Path(words[words.index(flag) + 1]).absolute()}']"]
    return []


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word[0] == "~")


def compose(name: str, overrides: list[str], *, with_hydra: bool = False) -> DictConfig:
    """The checked settings of one job."""
    try:
        settings = compose_unchecked(name, overrides, with_hydra)
        if with_hydra:
            return settings
        unchanged = compose_unchecked(name, choices_among(overrides))
    except COMPOSE_ERRORS as error:
        raise UserError(explain(name, overrides, error)) from None
    changed = [key_of(override) for override in overrides if override not in choices_among(overrides)]
    check_settings(settings, unchanged, [key for key in changed if not key.startswith("hydra")])
    return settings


def plain(settings: DictConfig) -> dict[str, Any]:
    """Settings as dicts and lists. A setting without a value is refused by name."""
    try:
        container = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key or "?"
        raise UserError(f"{key} has no value; give it on the command line: {key}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def build(settings: DictConfig, name: str, *without: str, **arguments: Any) -> Any:
    """What `settings.NAME._target_` names, built from the other settings of that node and further arguments.

    `without` are settings of the node that the code reads itself. Returns None for a node that is null."""
    node = OmegaConf.select(settings, name)
    if node is None:
        return None
    if not isinstance(node, DictConfig):
        raise UserError(f"{name} must be null or settings with a _target_, got {shown(node)}")
    own = OmegaConf.masked_copy(node, [str(key) for key in node if key not in without])
    own._set_parent(node._get_parent())  # for interpolations such as ${seed}
    return targets.build(own, tuple(settings.plugins), name, **arguments)


@contextmanager
def logging(settings: DictConfig, job_type: str) -> "Iterator[Logger]":
    """The logger of one job, which ends with the job. A logger that has a parameter `job_type` also gets the run's name,
    group and configuration."""
    from callbacks.loggers import ending

    target = targets.locate(str(settings.logger._target_), tuple(settings.plugins), "logger._target_")
    job: dict[str, Any] = {}
    if "job_type" in inspect.signature(target).parameters:
        job = {**labels_of(settings, job_type), "run_config": plain(settings)}
    with ending(build(settings, "logger", _partial_=True)(**job)) as logger:
        yield logger


def build_benchmark(settings: DictConfig) -> Any:
    """What `data=` names; a mixture with all of its parts. `data.share` leaves some of its training examples."""
    share = settings.data.get("share", 1.0)
    if share != 1:
        if settings.data.mined is not None:
            raise UserError(f"data.share must be 1 with data.mined, which replaces the data's examples, got {share}")
        return PartOfTraining(_whole_benchmark(settings), share)
    return _whole_benchmark(settings)


def _whole_benchmark(settings: DictConfig) -> Any:
    if "parts" not in settings.data:
        return build(settings, "data", *schema.BESIDE["data"])
    described = plain(settings.data)["parts"]
    whole = isinstance(described, dict) and all(isinstance(part, dict) for part in described.values())
    if not whole or not all(isinstance(part.get("data"), str) for part in described.values()):
        raise UserError("data.parts must be {NAME: {data: BENCHMARK, path: ..., weight: 1}, ...}")
    weights = {str(name): part.pop("weight", 1.0) for name, part in described.items()}
    pool = {str(name): part.pop("pool") for name, part in described.items() if "pool" in part}
    parts = {str(name): _part(f"data.parts.{name}", part, settings) for name, part in described.items()}
    return targets.locate(str(settings.data._target_), tuple(settings.plugins))(parts=parts, weights=weights, pool=pool)


def build_objective(settings: DictConfig) -> Any:
    """What `objective=` names; a combined one with its parts, each of which has its weight beside its own settings."""
    if "parts" not in settings.objective:
        return build(settings, "objective")
    nodes = {str(name): node for name, node in settings.objective.parts.items() if node is not None}
    weights, parts = {}, {}
    for name, node in nodes.items():
        weights[name] = targets.fit(f"objective.parts.{name}.weight", node.get("weight"), float)
        parts[name] = build(settings, f"objective.parts.{name}", "weight")
    return build(settings, "objective", "parts", parts=parts, weights=weights)


def build_twins(settings: DictConfig) -> Any:
    """A function where `data.twins` names one by `_target_`; else its value."""
    twins = settings.data.twins
    return build(settings, "data.twins", _partial_=True) if OmegaConf.is_config(twins) else twins


def _part(name: str, described: dict[str, Any], settings: DictConfig) -> Any:
    """A benchmark of a mixture: the file that `data` names, changed by the other settings."""
    part = compose("evaluate", [f"data={described.pop('data')}"])
    part.plugins = settings.plugins
    if unknown := [key for key in described if key not in list(part.data)]:  # `in` denies a key without a value
        remedy = did_you_mean(unknown[0], map(str, part.data)) or f"there are {', '.join(map(str, part.data))}"
        raise UserError(f"there is no setting '{name}.{unknown[0]}'; {remedy}")
    part.data.merge_with(described)
    try:
        return build_benchmark(part)
    except UserError as error:
        raise type(error)(str(error).replace("data.", f"{name}.", 1)) if type(error) is UserError else error from None


def _job(task: Callable[[DictConfig], Any], settings: DictConfig) -> Any:
    for shared in {"artifacts_dir", "artifacts_mirror"} & set(settings):
        settings[shared] = settings[shared]  # resolved to the sweep's folder, which its jobs share
    settings.output_dir = HydraConfig.get().runtime.output_dir  # each job of a sweep has its own
    check_settings(settings, settings, [])  # numbers become text here too
    try:
        with explaining_the_disk():
            return run_job(partial(explained, task), settings)
    except Unfinished:
        if int(os.environ.get("LOCAL_RANK", 0)) > 0:
            return None  # Lightning kills the first process when another one ends with an error status
        raise SystemExit(INTERRUPTED) from None
    except UserError as error:
        _exit(error)


def explained(task: Callable[[DictConfig], Any], settings: DictConfig) -> Any:
    """Inside the job, whose sentence a sweep keeps."""
    with explaining_the_disk():
        return task(settings)


def _exit(error: UserError) -> None:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)
