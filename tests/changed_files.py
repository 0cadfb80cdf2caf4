"""The JSON files of a model folder with one field changed, for tests of fingerprints."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OTHER_WORDS = {
    "hidden_act": "relu",
    "hidden_activation": "silu",
    "feed_forward_proj": "relu",
    "activation_function": "torch.nn.modules.activation.ReLU",
    "padding_side": "left",
    "truncation_side": "left",
}
"""Values of settings that are one of a few words. Any other word is spelled backwards."""
NOT_CHANGED = {"model_type", "type", "tokenizer_class", "vocab"}
"""They say which class is built, and a vocabulary is in the fingerprint as a whole."""

Outputs = Callable[[], tuple[NDArray[Any], str]]


def fields_without_effect_on_fingerprints(folder: Path, outputs: Outputs) -> tuple[list[str], int]:
    """Changes each field of each file. `outputs` loads the folder and returns its outputs for some texts, and its fingerprint.
    Returns the fields that change outputs but not the fingerprint, and the number of those that change both. A changed folder
    that cannot be loaded or used is passed over."""
    before, known = outputs()
    stale, told = [], 0
    for file, keys, value in list(_changes(folder)):
        with changed(file, keys, value):
            try:
                after, found = outputs()
            except Exception:  # of any library
                continue
        if not np.array_equal(after, before):
            told += found != known
            stale += [f"{file.relative_to(folder)}: {'.'.join(keys)} {value}"] * (found == known)
    return stale, told


@contextmanager
def changed(file: Path, keys: tuple[str, ...], value: Any) -> Iterator[None]:
    before = file.read_text(encoding="utf-8")
    settings = inner = json.loads(before)
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    file.write_text(json.dumps(settings), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


def _changes(folder: Path) -> Iterator[tuple[Path, tuple[str, ...], Any]]:
    for file in sorted(folder.rglob("*.json")):
        settings = json.loads(file.read_text(encoding="utf-8"))
        if file.name == "tokenizer_config.json":  # which leaves out what is so by default
            settings = {"truncation_side": "right", "padding_side": "right"} | settings
        if isinstance(settings, dict):
            yield from ((file, keys, value) for keys, value in _other_values(settings))


def _other_values(settings: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in settings.items():
        if key in NOT_CHANGED:
            continue
        if isinstance(value, dict):
            yield from _other_values(value, (*above, key))
        else:
            yield from (((*above, key), other) for other in _others(key, value))


def _others(key: str, value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value // 2]
    if isinstance(value, float):
        return [value * 3 + 0.5]
    if isinstance(value, str):
        return [OTHER_WORDS.get(key, value[::-1])]
    return [1, True] if value is None else []
