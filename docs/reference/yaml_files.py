"""The files of conf/ with their comments: what a file is for, and what each of its settings does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from conf.targets import TARGET

CONF = Path(__file__).parents[2] / "conf"
PACKAGES = {"batches": "data.batches", "objective/part": "objective.parts.NAME"}
"""What the settings of a group begin with, where it is not the group's own name."""


class Setting(NamedTuple):
    """`value` is as the file writes it, and empty for a setting that has others below it. A line of comment that stands above
    settings is one without a name."""

    name: str
    value: str
    comment: str


class File(NamedTuple):
    path: Path
    comment: str
    defaults: list[str]
    settings: list[Setting]
    targets: dict[str, str]
    """By the name of a node, what builds it; also those of the files of the same group among the defaults."""

    @property
    def group(self) -> str:
        return group_of(self.path)


def group_of(path: Path) -> str:
    return path.parent.relative_to(CONF).as_posix().removeprefix(".")


def read_file(path: Path) -> File:
    text = path.read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    defaults = [entry for entry in content.get("defaults", []) if entry != "_self_"]
    targets: dict[str, str] = {}
    for entry in defaults:
        base = path.parent / f"{entry}.yaml"
        targets |= read_file(base).targets if base.is_file() else {}
    prefix = _prefix(path, text)
    return File(
        path,
        comment_of(text),
        [_in_words(entry) for entry in defaults],
        list(_settings(yaml.compose(text), text, prefix)),
        targets | dict(_targets(content, prefix)),
    )


def _in_words(entry: str | dict[str, str]) -> str:
    return entry if isinstance(entry, str) else " ".join(f"{group}={choice}" for group, choice in entry.items())


def comment_of(text: str) -> str:
    """The comment that a file begins with. Indented lines are commands."""
    (lines,) = re.findall(r"\A(?:#.*\n)*", text)
    return "\n".join(line[2:] for line in lines.splitlines() if not line.startswith("# @package"))


def _prefix(path: Path, text: str) -> str:
    group = group_of(path)
    if "@package _global_" in text:
        return ""
    return PACKAGES.get(group, group.replace("/", ".")).replace("NAME", path.stem)


def _settings(node: yaml.Node | None, text: str, prefix: str) -> Iterator[Setting]:
    lines = text.splitlines()
    assert isinstance(node, yaml.MappingNode)
    for place, (key, value) in enumerate(node.value):
        if key.value in ("defaults", "hydra") or key.value.startswith("_"):
            continue
        if place and (above := _comment_above(lines, key.start_mark.line)):
            yield Setting("", "", above)
        name = f"{prefix}.{key.value}".lstrip(".")
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield Setting(name, "", _comment_after(lines, key.end_mark))
            yield from _settings(value, text, name)
        elif value.start_mark.line < value.end_mark.line:  # a text of several lines
            yield Setting(name, json.dumps(value.value, ensure_ascii=False), _comment_after(lines, key.end_mark))
        else:
            yield Setting(name, text[value.start_mark.index : value.end_mark.index], _comment_after(lines, value.end_mark))


def _comment_above(lines: list[str], line: int) -> str:
    first = line
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(each.strip("# ") for each in lines[first:line])


def _comment_after(lines: list[str], mark: Any) -> str:
    comment: str = lines[mark.line][mark.column :].partition("# ")[2]
    return comment.strip()


def _targets(content: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    if TARGET in content:
        yield name, content[TARGET]
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _targets(value, f"{name}.{key}".lstrip("."))
