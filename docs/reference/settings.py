"""What settings.md shows: the files of conf/, and each setting with its value, its type and its comment."""

from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from conf.schema import BESIDE
from conf.targets import locate, parameters, rule
from docs.reference.tables import code, described, plain, table
from docs.reference.yaml_files import CONF, File, Setting, group_of, read_file

ELSEWHERE = ("experiment", "study")
"""Groups whose files change the settings of others; experiments.md shows them."""


def markdown() -> str:
    sections = []
    for group, paths in groupby(option_files(), group_of):
        sections += [f"## {code(group) if group else 'The two commands'}", *map(_section, map(read_file, paths))]
    return "\n\n".join(sections)


def option_files() -> list[Path]:
    """evaluate.yaml and train.yaml, then the groups."""
    paths = [path for path in CONF.rglob("*.yaml") if group_of(path) not in ELSEWHERE]
    return sorted(paths, key=lambda path: (group_of(path), path.stem))


def type_of(setting: Setting, file: File) -> str:
    """What its value must be, in the words of the error for a wrong one: by the parameter, or else by the value in the file."""
    node, _, key = setting.name.rpartition(".")
    annotations: dict[Any, Any] = BESIDE.get(node, {})
    if node in file.targets:
        annotations = annotations | parameters(locate(file.targets[node], ()))
    if key in annotations:
        return "" if annotations[key] is Any else rule(annotations[key])
    value = yaml.safe_load(setting.value)
    return "" if value in (None, "???") else rule(type(value))


def _row(setting: Setting, file: File) -> tuple[str, ...]:
    if not setting.value:
        return code(setting.name), "", plain(setting.comment)
    return code(f"{setting.name}={setting.value}"), type_of(setting, file), plain(setting.comment)


def _section(file: File) -> str:
    name = f"{file.path.stem}.py" if not file.group else f"{file.group}={file.path.stem}"
    rows = [_row(setting, file) for setting in file.settings if setting.value or setting.comment]
    parts = [f"### {code(name)}", described(file.comment)]
    if file.group and file.defaults:
        parts.append(f"Builds on {', '.join(map(code, file.defaults))}.")
    if rows:
        parts.append("{.settings}\n" + table(("setting", "type", "meaning"), rows))
    return "\n\n".join(parts)
