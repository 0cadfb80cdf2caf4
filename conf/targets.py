"""What a `_target_` in the settings may name, and whether its settings fit its parameters."""

import inspect
import math
import pkgutil
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from xdr.errors import UserError, did_you_mean, first_line, shown

PACKAGES = ("xdr", "callbacks", "lightning", "torch")
"""A `_target_` may name these packages and those in the setting `plugins`."""

TARGET = "_target_"
_OF_HYDRA = {"_partial_", "_recursive_", "_convert_", "_args_"}
_RULES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
    Sequence: "a list",
    Mapping: "a mapping",
}


def locate(target: str, plugins: tuple[str, ...], name: str = TARGET) -> Any:
    """The class or function that `target` names by its dotted path."""
    if target.split(".")[0] not in (*PACKAGES, *plugins):
        allowed = ", ".join((*PACKAGES, *plugins))
        raise UserError(
            f"{name} must name something in {allowed}, got {target}. Other packages are allowed by plugins=[PACKAGE]"
        )
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{name}={target} cannot be imported: {first_line(error)}") from None


def build(settings: DictConfig, plugins: tuple[str, ...], name: str, **arguments: Any) -> Any:
    """What `settings._target_` names, built by Hydra's `instantiate` with these settings and further arguments."""
    if missing := sorted(OmegaConf.missing_keys(settings)):
        raise UserError(f"{name}.{missing[0]} has no value; give it on the command line: {name}.{missing[0]}=...")
    check(settings, plugins, name)
    try:
        return hydra.utils.instantiate(settings, **arguments, _convert_="all")
    except InstantiationException as error:
        raise UserError(_explained(error, name)) from None


def _explained(error: InstantiationException, name: str) -> str:
    """A UserError's sentence, after `name` where it does not hold it; another error's is introduced."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    if cause is None:
        return f"{name} cannot be made from these settings: {first_line(error.__cause__ or error)[:300]}"
    return str(cause) if name in str(cause) else f"{name}: {cause}"


def check(
    settings: DictConfig,
    plugins: tuple[str, ...],
    name: str,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Refuses settings that the parameters of their `_target_` do not take, here and in all nodes below.

    `extra` are types of settings beside the parameters; nodes below these are checked when they are built. Numbers where text
    is wanted become text."""
    extra = extra or {}
    for path, node in _targets(settings, name, tuple(extra)):
        accepted = parameters(locate(str(node[TARGET]), plugins, f"{path}.{TARGET}"))
        accepted |= extra if node is settings else {}
        takes_any = None in accepted
        for key in map(str, list(node)):
            if key == TARGET or key in _OF_HYDRA:
                continue
            if key not in accepted and not takes_any:
                remedy = did_you_mean(key, map(str, accepted)) or f"it takes {', '.join(map(str, accepted)) or 'none'}"
                raise UserError(f"there is no setting '{path}.{key}' for {node[TARGET]}; {remedy}")
            if OmegaConf.is_missing(node, key):
                continue
            value = node[key]
            plain = OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig | ListConfig) else value
            fitting = fit(f"{path}.{key}", plain, accepted.get(key, Any))
            if repr(fitting) != repr(plain):  # numbers that became text
                node[key] = fitting


def fit(name: str, value: Any, annotation: Any) -> Any:
    """The value as the annotation has it; refused where it does not fit. Types that YAML cannot write are not checked."""
    if (isinstance(value, int) and abs(value) >= 1 << 63) or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{name} must be finite and have at most 64 bits, got {shown(value)}")
    origin, choices = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        if value not in choices:
            remedy = did_you_mean(str(value), map(str, choices))
            raise UserError(f"{name} must be {rule(annotation)}, got {shown(value)}{remedy and '; ' + remedy}")
        return value
    if origin in (Union, types.UnionType):
        for choice in choices:
            try:
                return fit(name, value, choice)
            except UserError:
                continue
        raise UserError(f"{name} must be {rule(annotation)}, got {shown(value)}")
    kind = origin or annotation
    if kind is types.NoneType and value is None:
        return None
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is types.NoneType or (kind in _RULES and not _is(value, kind)) or (_is_made(kind) and not isinstance(value, dict)):
        raise UserError(f"{name} must be {rule(annotation)}, got {shown(value)}")
    if kind in (list, tuple, Sequence) and choices:
        return [fit(name, item, choices[0]) for item in value]
    return value


def _is(value: Any, kind: type) -> bool:
    if kind in (tuple, Sequence):
        return isinstance(value, list | tuple)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_made(kind: Any) -> bool:
    """Whether it is a class of xdr, which YAML can only name by a `_target_`."""
    return inspect.isclass(kind) and kind.__module__.split(".")[0] == "xdr"


def rule(annotation: Any) -> str:
    """What a value of this type must be, in words."""
    if _is_made(annotation):
        return f"settings with a {TARGET}"
    origin, choices = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"one of {', '.join(map(str, choices))}"
    if origin in (Union, types.UnionType):
        return " or ".join(rule(choice) for choice in choices)
    if annotation is types.NoneType:
        return "null"
    if origin in (list, tuple, Sequence) and choices:
        return f"a list (each item {rule(choices[0])})"
    return _RULES.get(origin or annotation, getattr(annotation, "__name__", str(annotation)))


def _targets(node: Any, name: str, without: tuple[str, ...] = ()) -> Iterator[tuple[str, DictConfig]]:
    """Each node with a `_target_`, with its dotted name, from the outside in; `without` are keys of the outermost node."""
    if isinstance(node, ListConfig):
        for place, item in enumerate(node):
            yield from _targets(item, f"{name}.{place}")
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return
    if TARGET in node:
        yield name, node
    for key in (key for key in map(str, list(node)) if key not in without):
        if not OmegaConf.is_missing(node, key) and OmegaConf.is_config(node._get_node(key)):
            yield from _targets(node._get_node(key), f"{name}.{key}")


def parameters(target: Any) -> dict[Any, Any]:
    """Annotations by name of parameter. The key None says that any other name is taken as well."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # a name that is imported for type checkers alone
        hints = {}
    accepted: dict[Any, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            accepted[None] = Any
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            annotation = hints.get(name, parameter.annotation)
            accepted[name] = Any if annotation is parameter.empty or isinstance(annotation, str) else annotation
    return accepted
