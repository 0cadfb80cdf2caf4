"""What is wrong with a command line, in one sentence, with the setting that may have been meant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from xdr.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent
COMPOSE_ERRORS = (HydraException, OmegaConfBaseException, ValueError)


def compose_unchecked(name: str, overrides: list[str], with_hydra: bool = False) -> DictConfig:
    with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
        return hydra.compose(name, overrides, return_hydra_config=with_hydra)


def explain(name: str, overrides: list[str], error: Exception) -> str:
    """Each value is tried with the choices of groups (experiment=, data=) alone: the first that fails is the culprit."""
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    groups = [override for override in overrides if (FOLDER / _key(override)).is_dir()]
    for override in overrides:
        if override in groups:
            continue
        try:
            compose_unchecked(name, [*groups, override])
        except COMPOSE_ERRORS as problem:
            return _wrong_value(name, groups, override, problem)
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def refuse_unknown(settings: DictConfig, prefix: str = "") -> None:
    """`+key=value` gets past Hydra's own check; a setting that nothing reads is refused all the same."""
    known = getattr(OmegaConf.get_type(settings), "__dataclass_fields__", None)
    for key in map(str, settings):
        if known is not None and key not in known:
            raise UserError(_unknown_key(f"{prefix}{key}", [f"{prefix}{name}" for name in known]))
        node = settings._get_node(key)
        if isinstance(node, DictConfig) and not node._is_missing() and not node._is_none():
            refuse_unknown(node, f"{prefix}{key}.")


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    known = [option for option in error.options or [] if option != "schema"]
    return f"there is no {group} '{choice}'; {did_you_mean(choice, known) or 'there are ' + ', '.join(known)}"


def _wrong_value(name: str, groups: list[str], override: str, problem: Exception) -> str:
    message = str(problem.__cause__ or problem).splitlines()[0]
    if str(problem).startswith(("Could not override", "Could not find")):
        return _unknown_key(_key(override), list(_dotted(compose_unchecked(name, groups))))
    return f"'{override}' does not fit: {message}"


def _unknown_key(key: str, known: list[str]) -> str:
    return f"there is no setting '{key}'; {did_you_mean(key, known) or 'there are ' + ', '.join(known)}"


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _dotted(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig) and not node._is_missing() and not node._is_none():
        for key in map(str, node):
            yield prefix + key
            if not OmegaConf.is_missing(node, key):
                yield from _dotted(node._get_node(key), f"{prefix}{key}.")
