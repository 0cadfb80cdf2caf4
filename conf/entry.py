"""How train.py and evaluate.py start: settings are composed and checked in a fraction of a second, and a mistake is one
sentence with its remedy."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from conf import schema, sweep
from conf.job import INTERRUPTED, run_job
from conf.mistakes import COMPOSE_ERRORS, FOLDER, compose_unchecked, explain, refuse_unknown
from xdr.errors import STOPPED, Unfinished, UserError, print_in_any_terminal

TARGETS = ("xdr.",)
"""What a `_target_` in the settings may name."""

_INFORMATION = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--version"}


def run(name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes `conf/<name>.yaml` with the command line, checks it, and calls `task` with it, once for each job."""
    print_in_any_terminal()
    schema.register()
    planned = None
    try:
        if not _INFORMATION.intersection(sys.argv):
            planned = check(name, [word for word in sys.argv[1:] if _is_override(word)])
    except UserError as error:
        _exit(error)
    try:
        hydra.main(version_base="1.3", config_path=str(FOLDER), config_name=name)(partial(_job, task))()
    except KeyboardInterrupt:
        print(f"\n{STOPPED}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        status = sweep.report(planned) if planned else 0
    if status:
        sys.exit(status)


def check(name: str, overrides: list[str]) -> sweep.Sweep | None:
    """Every job that the command line asks for, before the first one starts. A sweep's folder is that of the settings which
    its jobs have in common."""
    settings = compose(name, sweep.common(overrides), with_hydra=True)
    if not sweep.is_multirun(settings):
        compose(name, overrides)
        return None
    HydraConfig.instance().set_config(settings)  # which output_dir refers to
    if not any(override.startswith("output_dir=") for override in overrides):
        overrides = [*overrides, f"output_dir='{settings.output_dir}'"]
    planned = sweep.plan(overrides, settings, partial(compose, name))
    sys.argv[1:] = [*(word for word in sys.argv[1:] if not _is_override(word)), *overrides]  # in a row, or argparse refuses
    return planned


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word[0] == "~")


def compose(name: str, overrides: list[str], *, with_hydra: bool = False) -> DictConfig:
    """The checked settings of one job."""
    try:
        settings = compose_unchecked(name, overrides, with_hydra)
    except COMPOSE_ERRORS as error:
        raise UserError(explain(name, overrides, error)) from None
    if not with_hydra:
        refuse_unknown(settings)
    return settings


def plain(settings: DictConfig) -> dict[str, Any]:
    """As dicts and lists; a setting without a value is named."""
    try:
        container = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True, enum_to_str=True)
    except MissingMandatoryValue as error:
        key = error.full_key or "?"
        raise UserError(f"{key} has no value; give it on the command line: {key}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def build(settings: DictConfig, *without: str, **more: Any) -> Any:
    """What `settings._target_` names, called with the other settings and `more`."""
    values = plain(settings)
    target = str(values.pop("_target_"))
    if not target.startswith(TARGETS):
        raise UserError(f"_target_={target} is not one of xdr's own; it must begin with {' or '.join(TARGETS)}")
    arguments = {key: value for key, value in values.items() if key not in without}
    return hydra.utils.get_object(target)(**arguments, **more)


def build_benchmark(settings: DictConfig) -> Any:
    """What `data=` names; of a mixture, with all of its parts."""
    if "parts" not in settings:
        return build(settings, "strict", "negatives", "batches")
    described = plain(settings)["parts"]
    if not isinstance(described, dict) or not all(isinstance(part, dict) and "data" in part for part in described.values()):
        raise UserError("data.parts is {NAME: {data: BENCHMARK, path: ..., weight: 1}, ...}")
    parts, weights = {}, {}
    for name, values in described.items():
        weights[str(name)] = values.pop("weight", 1.0)
        overrides = [f"data={values.pop('data')}"]
        part = compose("evaluate", overrides).data
        try:
            part.merge_with(values)
            parts[str(name)] = build_benchmark(part)
        except OmegaConfBaseException as error:
            raise UserError(f"data.parts.{name}: {str(error).splitlines()[0]}") from None
    return build(OmegaConf.create({"_target_": settings._target_}), parts=parts, weights=weights)


def _job(task: Callable[[DictConfig], Any], settings: DictConfig) -> Any:
    if "artifacts_dir" in settings:
        settings.artifacts_dir = settings.artifacts_dir  # as it stands with the sweep's folder: its jobs share it
    settings.output_dir = HydraConfig.get().runtime.output_dir  # in a multirun each job has its own
    try:
        return run_job(task, settings)
    except Unfinished:
        if int(os.environ.get("LOCAL_RANK", 0)) > 0:
            return None  # Lightning kills the first process of all when another's status is not 0
        raise SystemExit(INTERRUPTED) from None
    except UserError as error:
        _exit(error)


def _exit(error: UserError) -> None:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)
