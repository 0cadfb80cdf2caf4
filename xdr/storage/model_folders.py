"""Folders of models: names of those that a training run writes, and the JSON files of sentence-transformers' layout."""

import json
from pathlib import Path
from typing import Any

from xdr.errors import UserError, near_path

ENCODER = "encoder"
PASSAGE_ENCODER = "passage_encoder"
GENERATOR = "generator"
MODEL = "model"
"""Beside the checkpoints: the configuration, tokenizer and initial weights that belong to a checkpoint's weights."""


def require_model_name(parameter: str, value: str) -> None:
    """Refuses a path where nothing is, before a library takes it for a name on the hub, which has at most one slash."""
    path = Path(value)
    if not path.exists() and (path.is_absolute() or value.startswith(".") or len(path.parts) > 2):
        raise UserError(
            f"{parameter} must be a model folder, or the name of a model on the hub that can be reached, got {value}. "
            f"There is no such folder; {near_path(path)}".rstrip("; ")
        )


def read_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object")
    return value


def read_modules(folder: Path) -> list[tuple[str, str]]:
    """The kind of each module and its path, which must not lead out of the folder."""
    path = folder / "modules.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(described, list):
        raise UserError(f"{path} must hold a JSON list")
    modules = [(str(m["type"]).rsplit(".", 1)[-1], str(m["path"])) for m in described]
    for kind, place in modules:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise UserError(f"the path of {kind} in {path} must be inside the folder, got {place}")
    return modules


def write_settings(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
