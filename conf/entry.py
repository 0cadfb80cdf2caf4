"""How train.py and evaluate.py start: settings are composed and checked in a fraction of a second, and a mistake is one
sentence with its remedy."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from conf import schema
from conf.mistakes import COMPOSE_ERRORS, FOLDER, compose_unchecked, explain, refuse_unknown
from xdr.errors import UserError

TARGETS = ("xdr.",)
"""What a `_target_` in the settings may name."""

_INFORMATION = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--version"}


def run(name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes `conf/<name>.yaml` with the command line, checks it, and calls `task` with it, once for each job."""
    schema.register()
    try:
        if not _INFORMATION.intersection(sys.argv):
            check(name, [word for word in sys.argv[1:] if not word.startswith("-") and ("=" in word or word[0] == "~")])
    except UserError as error:
        _exit(error)
    hydra.main(version_base="1.3", config_path=str(FOLDER), config_name=name)(partial(_job, task))()


def check(name: str, overrides: list[str]) -> None:
    """Every job that the command line asks for, before the first one starts."""
    multirun = bool({"-m", "--multirun"}.intersection(sys.argv))
    for job in _jobs(overrides):
        settings = compose(name, job)
        if multirun and "trainer" in settings and _starts_processes(settings.trainer):
            raise UserError(
                "a multirun cannot start the processes of trainer.strategy=ddp: each of them would walk the sweep itself. Set "
                "trainer.strategy=ddp_spawn, or start the jobs one by one without -m"
            )


def _starts_processes(trainer: DictConfig) -> bool:
    """By running the command line again, as Lightning's DDP does."""
    several = str(trainer.devices) not in ("1", "auto", "[0]") or trainer.num_nodes > 1
    return several and "spawn" not in trainer.strategy


def compose(name: str, overrides: list[str]) -> DictConfig:
    """The checked settings of one job."""
    try:
        settings = compose_unchecked(name, overrides)
    except COMPOSE_ERRORS as error:
        raise UserError(explain(name, overrides, error)) from None
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
    settings.output_dir = HydraConfig.get().runtime.output_dir  # in a multirun each job has its own
    try:
        return task(settings)
    except UserError as error:
        _exit(error)


def _exit(error: UserError) -> None:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)


def _jobs(overrides: list[str]) -> Iterator[list[str]]:
    """The jobs of a sweep, each value of each swept key once; a single job as it is."""
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise UserError(f"'{error.override}' cannot be read: {str(error).splitlines()[0]}") from None
    values = [_values(override) for override in parsed]
    yield [first for first, *_ in values]
    for place, choices in enumerate(values):
        for value in choices[1:]:
            yield [value if at == place else first for at, (first, *_) in enumerate(values)]


def _values(override: Override) -> list[str]:
    """One override of a single job for each value it sweeps over."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
