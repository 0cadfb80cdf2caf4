"""Which settings are checked before anything heavy is loaded: names and types of each `_target_`'s parameters, and of the rest.

Names and values of settings are in the YAML files. Their types are those of the parameters of the class or function that their
`_target_` names, or else of the value in the YAML file.
"""

from collections.abc import Iterator
from typing import Any, get_type_hints

from omegaconf import DictConfig, OmegaConf

from conf.targets import check, fit
from xdr.errors import UserError, did_you_mean, shown
from xdr.tasks.settings import StageName
from xdr.teaching.settings import ListSettings

CHECKED_AT_START = (
    "data",
    "model",
    "noise",
    "vectors",
    "augmentation",
    "search",
    "correction",
    "hybrid",
    "engine",
    "teacher",
    "evaluation",
    "mining",
    "sweep",
    "publish",
)
"""Groups whose classes import in no time. Those of the other groups are checked when they are built."""

BESIDE: dict[str, dict[str, Any]] = {
    "data": {
        "strict": bool,
        "verify": bool,
        "share": float,
        "negatives": str | None,
        "teacher_scores": str | None,
        "mined": str | None,
        "twins": Any,
        "batches": Any,
    },
    "model": {"pipeline": str, "optimizer": Any, "score_scale": float, "learn_scale": bool, "chunk_size": int},
    "teacher": get_type_hints(ListSettings),
    "mining": {"system": str},
}
"""Settings of train.py and evaluate.py that stand beside a class's own."""

ALONE: dict[str, Any] = {
    "plugins": list[str],
    "stage": StageName,
    "checkpoint": str | None,
    "compare_to": list[str],
    "resume": str,
    "output_dir": str,
    "artifacts_dir": str,
    "artifacts_mirror": str,
}
"""Settings that stand in no group, besides numbers and switches, which have the types of their defaults."""

TRAINER: dict[str, Any] = {
    "accelerator": str,
    "accumulate_grad_batches": int,
    "check_val_every_n_epoch": int | None,
    "devices": int | str | list[int],
    "enable_progress_bar": bool,
    "gradient_clip_val": float | None,
    "log_every_n_steps": int,
    "max_epochs": int | None,
    "max_steps": int,
    "num_nodes": int,
    "precision": int | str,
    "strategy": str,
    "val_check_interval": float | None,
}
"""Lightning's types of what stands in conf/trainer."""

REMOTE = ("augmentation.source", "artifacts_dir")
"""Settings that may be addresses in a store of objects, besides paths of the data."""
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")

OPEN = ("callbacks", "logger", "trainer")
"""Groups to which `+` may add settings: their classes check them."""


def check_settings(settings: DictConfig, unchanged: DictConfig, changed: list[str]) -> None:
    """`changed` are dotted names from the command line; `unchanged` are the settings without those changes. Numbers where text
    is wanted become text."""
    for key in changed:
        _check_change(settings, unchanged, key)
    _refuse_remote(settings)
    written: Any = OmegaConf.to_container(settings, resolve=False)
    for name in ALONE.keys() & written.keys():
        fitting = fit(name, written[name], ALONE[name])
        if isinstance(written[name], int | float):  # a folder can be named 3, which YAML reads as a number
            settings[name] = fitting
    for name in TRAINER.keys() & written["trainer"].keys():
        value = written["trainer"][name]
        if not str(value).startswith("${"):
            fit(f"trainer.{name}", value, TRAINER[name])
    plugins = tuple(settings.plugins)
    for group in CHECKED_AT_START:
        node = settings.get(group)
        if node is None:
            continue
        if not isinstance(node, DictConfig):
            raise UserError(f"{group} must be the name of a file in conf/{group}, or none, got {shown(node)}")
        if "_target_" not in node:
            first = str(next(iter(node), ""))
            raise UserError(
                f"{group}.{first} is set, but {group} is none. Choose another {group}, or leave out the experiment or override "
                f"that sets {group}.{first}"
            )
        check(node, plugins, group, BESIDE.get(group))


def _refuse_remote(settings: DictConfig) -> None:
    """What is read and written on this machine alone is refused by name, whatever value of it is an address."""
    for key, value in _texts("", OmegaConf.to_container(settings, resolve=False)):
        group, _, name = key.partition(".")
        may_be_remote = key in REMOTE or (group == "data" and name not in BESIDE["data"])
        if value.partition("://")[0] in STORES and not may_be_remote:
            raise UserError(f"{key} must be on this machine, got {value}. Only data.path, {' and '.join(REMOTE)} may be remote")


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(f"{place}.{key}".lstrip("."), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(place, inner)


def _check_change(settings: DictConfig, unchanged: DictConfig, key: str) -> None:
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(unchanged, parent, throw_on_missing=False) if parent else unchanged
    if key.split(".")[0] in OPEN or (parent and (not isinstance(node, DictConfig) or _under_target(unchanged, parent))):
        return
    if last not in node:
        known = [f"{parent}.{name}".lstrip(".") for name in map(str, node)]
        raise UserError(f"there is no setting '{key}'; {did_you_mean(key, known) or 'there are ' + ', '.join(known)}")
    default = None if OmegaConf.is_missing(node, last) or OmegaConf.is_interpolation(node, last) else node[last]
    if isinstance(default, bool | int | float):
        fit(key, OmegaConf.select(settings, key), type(default))


def _under_target(settings: DictConfig, name: str) -> bool:
    """Whether this node, or one above it, has a `_target_`, which checks what stands there."""
    parts = name.split(".")
    above = (OmegaConf.select(settings, ".".join(parts[:length])) for length in range(1, len(parts) + 1))
    return parts[0] in CHECKED_AT_START and any(isinstance(node, DictConfig) and "_target_" in node for node in above)
