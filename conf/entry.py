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
from omegaconf.errors import MissingMandatoryValue

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
    for job in _jobs(overrides):
        compose(name, job)


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
