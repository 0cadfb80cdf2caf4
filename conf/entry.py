"""How train.py and evaluate.py start: settings are composed and checked in a fraction of a second, and a mistake is one
sentence with its remedy."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from conf import schema
from xdr.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent
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
        with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
            settings = hydra.compose(name, overrides)
    except MissingConfigException as error:
        raise UserError(_unknown_choice(error)) from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_explain(name, overrides, error)) from None
    _refuse_unknown(settings)
    return settings


def plain(settings: DictConfig) -> dict[str, Any]:
    """As dicts and lists; a setting without a value is named."""
    try:
        container = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key or "?"
        raise UserError(f"{key} has no value; give it on the command line: {key}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def build(settings: DictConfig, *without: str) -> Any:
    """What `settings._target_` names, called with the other settings."""
    values = plain(settings)
    target = str(values["_target_"])
    if not target.startswith(TARGETS):
        raise UserError(f"_target_={target} is not one of xdr's own; it must begin with {' or '.join(TARGETS)}")
    try:
        return hydra.utils.instantiate({key: value for key, value in values.items() if key not in without}, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


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
    swept = [override for override in parsed if override.is_sweep_override()]
    choices = {o.input_line: [f"{o.get_key_element()}={v}" for v in o.sweep_string_iterator()] for o in swept}
    yield [choices[o.input_line][0] if o.input_line in choices else str(o.input_line) for o in parsed]
    for place, override in enumerate(parsed):
        for value in choices.get(override.input_line, [])[1:]:
            job = [choices[o.input_line][0] if o.input_line in choices else str(o.input_line) for o in parsed]
            yield [*job[:place], value, *job[place + 1 :]]


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    known = [option for option in error.options or [] if option != "schema"]
    hint = did_you_mean(choice, known) or "There are " + ", ".join(known)
    return f"there is no {group} '{choice}'; {hint}"


def _explain(name: str, overrides: list[str], error: Exception) -> str:
    """The first override that does not fit, and the key that may be meant."""
    for last, override in enumerate(overrides):
        key = override.split("=", 1)[0].lstrip("+~")
        message = _message_of(name, overrides[: last + 1])
        if message is None:
            continue
        if "Could not override" in message or "is not in struct" in message or "Could not find" in message:
            hint = did_you_mean(key, _keys(name, overrides[:last]))
            return f"there is no setting '{key}'; {hint or 'see --help for those there are'}"
        return f"'{override}' does not fit: {message.rpartition('; ')[2]}"
    lines = str(error).splitlines()
    return f"{lines[0]} {' '.join(line.strip() for line in lines[1:] if line.strip())}".strip()


def _message_of(name: str, overrides: list[str]) -> str | None:
    """Why these overrides do not compose; None if they do, or lack only what later ones may bring."""
    try:
        with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
            hydra.compose(name, overrides)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        message = str(error.__cause__ or error).splitlines()[0]
        return None if "You must specify" in str(error) else f"{str(error).splitlines()[0]}; {message}"
    return None


def _keys(name: str, overrides: list[str]) -> list[str]:
    try:
        with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
            return list(_dotted(hydra.compose(name, overrides)))
    except (HydraException, OmegaConfBaseException):
        return ["data", "experiment", "output_dir"]


def _dotted(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig) and not node._is_missing() and not node._is_none():
        for key in node:
            yield f"{prefix}{key}"
            if not OmegaConf.is_missing(node, key):
                yield from _dotted(node._get_node(key), f"{prefix}{key}.")


def _refuse_unknown(settings: DictConfig, prefix: str = "") -> None:
    """`+key=value` gets past Hydra's own check; a setting that nothing reads is refused all the same."""
    known = getattr(OmegaConf.get_type(settings), "__dataclass_fields__", None)
    for key in settings:
        if known is not None and key not in known:
            hint = did_you_mean(str(key), known)
            raise UserError(f"there is no setting '{prefix}{key}'; {hint or 'it has ' + ', '.join(known)}")
        node = settings._get_node(key)
        if isinstance(node, DictConfig) and not node._is_missing() and not node._is_none():
            _refuse_unknown(node, f"{prefix}{key}.")
