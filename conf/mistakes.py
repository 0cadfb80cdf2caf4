"""What is wrong with a command line, in one sentence, with the setting that may have been meant."""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from xdr.errors import UserError, did_you_mean, first_line, shown

FOLDER = Path(__file__).parent
COMPOSE_ERRORS = (HydraException, OmegaConfBaseException, OSError, TypeError, ValueError)


def compose_unchecked(name: str, overrides: list[str], with_hydra: bool = False) -> DictConfig:
    """Also within a job, for the parts of a mixture: Hydra composes for one application at a time."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
            return hydra.compose(name, overrides, return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = running


def explain(name: str, overrides: list[str], error: Exception) -> str:
    """The first override that fails when it is composed with the chosen files alone (experiment=, data=)."""
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    groups = choices_among(overrides)
    for choice in groups:
        group, _, value = choice.partition("=")
        if not group.startswith(("~", "hydra.")) and not _is_name(choice):
            return f"{group} must be one of {', '.join(_files_of(group))}, got {value}"
    for override in overrides:
        if override in groups:
            continue
        try:
            compose_unchecked(name, [*groups, override])
        except COMPOSE_ERRORS as problem:
            return _wrong_value(name, groups, override, problem)
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def require_folder(name: str, value: str) -> None:
    """Refuses a folder that cannot be created, before Hydra and the jobs fail to create it."""
    path = Path(value).absolute()
    try:
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    except OSError as error:
        raise UserError(f"{name} must be a folder that can be created, got {shown(value)}: {first_line(error)}") from None
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        problem = "is a file" if nearest.is_file() else "cannot be written to"
        raise UserError(f"{name} must be a folder that can be created, got {value}: {nearest} {problem}. Choose another folder")


def choices_among(overrides: list[str]) -> list[str]:
    """The overrides that choose files, such as `data=sample`, or say where files are."""
    return [
        override
        for override in overrides
        if (FOLDER / key_of(override).split("@")[0]).is_dir() or key_of(override) == "hydra.searchpath"
    ]


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    known = list(error.options or _files_of(group))
    return f"there is no {group} '{choice}'; {did_you_mean(choice, known) or 'there are ' + ', '.join(known)}"


def _is_name(choice: str) -> bool:
    """Whether the override names a file of its group, or several."""
    override = OverridesParser.create().parse_override(choice)
    value = override.value()
    return override.is_sweep_override() or all(
        isinstance(name, str) for name in (value if isinstance(value, list) else [value])
    )


def _files_of(group: str) -> list[str]:
    return sorted(path.stem for path in (FOLDER / key_of(group).split("@")[0]).glob("*.yaml"))


def _wrong_value(name: str, groups: list[str], override: str, problem: Exception) -> str:
    message = str(problem.__cause__ or problem).splitlines()[0]
    if str(problem).startswith(("Could not override", "Could not find")):
        return _unknown_key(name, groups, key_of(override))
    return f"'{override}' does not fit: {message}"


def _unknown_key(name: str, groups: list[str], key: str) -> str:
    composed, group = compose_unchecked(name, groups), key.split(".")[0]
    if (FOLDER / group).is_dir() and not composed.get(group):
        for choice in _files_of(group):
            known = list(_dotted(compose_unchecked(name, [*groups, f"{group}={choice}"])))
            if near := get_close_matches(key, known, n=1, cutoff=0.8):
                return f"there is no setting '{key}' with {group}=none; there is {near[0]} with {group}={choice}"
    known = list(_dotted(composed))
    return f"there is no setting '{key}'; {did_you_mean(key, known) or 'there are ' + ', '.join(known)}"


def key_of(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _dotted(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig) and not node._is_missing() and not node._is_none():
        for key in map(str, node):
            yield prefix + key
            if not OmegaConf.is_missing(node, key):
                yield from _dotted(node._get_node(key), f"{prefix}{key}.")
