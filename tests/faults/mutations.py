"""Seeded damage to a file or folder: what a disk, a careless copy or a hand may do."""

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READABLE_ANYWAY = os.geteuid() == 0
"""The superuser reads files without permissions."""


def mutate(rng: random.Random, targets: Sequence[Path]) -> str:
    """Damages one of the files or folders in `targets`, and says how."""
    files = sorted(
        file for target in targets for file in (target.rglob("*") if target.is_dir() else [target]) if file.is_file()
    )
    folders = sorted({target for target in targets if target.is_dir()} | {file.parent for file in files} - {targets[0].parent})
    while True:
        name = rng.choice(sorted(_MUTATIONS))
        if name == "delete a folder" and folders:
            folder = rng.choice(folders)
            shutil.rmtree(folder)
            return f"{name}: {folder.name}"
        file = rng.choice(files)
        if done := _MUTATIONS[name](rng, file, files):
            return f"{name}: {file.parent.name}/{file.name} {done}"


def _flip(rng: random.Random, file: Path, _: Sequence[Path]) -> str:
    content = bytearray(file.read_bytes())
    if not content:
        return ""
    places = [rng.randrange(len(content)) for _ in range(rng.choice([1, 1, 8]))]
    for place in places:
        content[place] ^= rng.randrange(1, 256)
    file.write_bytes(content)
    return f"at {places}"


def _overwrite(rng: random.Random, file: Path, _: Sequence[Path]) -> str:
    content = bytearray(file.read_bytes())
    if not content:
        return ""
    start = rng.randrange(len(content))
    length = rng.randint(1, min(400, len(content) - start))
    content[start : start + length] = rng.choice([bytes(length), rng.randbytes(length), b"7" * length])
    file.write_bytes(content)
    return f"{start} to {start + length}"


def _truncate(rng: random.Random, file: Path, _: Sequence[Path]) -> str:
    size = file.stat().st_size
    if not size:
        return ""
    kept = rng.choice([size - 1, rng.randrange(size)])
    os.truncate(file, kept)
    return f"to {kept} of {size}"


def _append(rng: random.Random, file: Path, _: Sequence[Path]) -> str:
    more = rng.choice([b"\0", b"\n", b"x\n", rng.randbytes(rng.randint(1, 300))])
    file.write_bytes(file.read_bytes() + more)
    return f"{len(more)} bytes"


def _empty(_: random.Random, file: Path, __: Sequence[Path]) -> str:
    file.write_bytes(b"")
    return "now"


def _delete(_: random.Random, file: Path, __: Sequence[Path]) -> str:
    file.unlink()
    return "now"


def _swap(rng: random.Random, file: Path, files: Sequence[Path]) -> str:
    """With a file of the same kind, if there is one."""
    others = [other for other in files if other != file and other.read_bytes() != file.read_bytes()]
    alike = [other for other in others if other.suffix == file.suffix]
    if not others:
        return ""
    other = rng.choice(alike or others)
    mine, its = file.read_bytes(), other.read_bytes()
    file.write_bytes(its)
    other.write_bytes(mine)
    return f"with {other.parent.name}/{other.name}"


def _folder(_: random.Random, file: Path, __: Sequence[Path]) -> str:
    file.unlink()
    file.mkdir()
    return "is one"


def _link(rng: random.Random, file: Path, files: Sequence[Path]) -> str:
    target = rng.choice([file, file.with_name("nowhere"), rng.choice(files)])
    file.unlink()
    file.symlink_to(target)
    return f"to {target.name}"


def _forbid(_: random.Random, file: Path, __: Sequence[Path]) -> str:
    if READABLE_ANYWAY:
        return ""
    file.chmod(0)
    return "to read"


def _json(rng: random.Random, file: Path, _: Sequence[Path]) -> str:
    """Changes, removes or retypes one field at any depth."""
    try:
        value: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return ""
    places = list(_fields(value, ()))
    if not places:
        return ""
    *parents, last = rng.choice(places)
    holder = value
    for key in parents:
        holder = holder[key]
    if rng.random() < 0.3:
        del holder[last]
        done = "removed"
    else:
        holder[last] = rng.choice([value for value in _replacements(holder[last], rng) if value != holder[last]])
        done = f"is {holder[last]!r:.40}"
    file.write_text(json.dumps(value), encoding="utf-8")
    return f"{'.'.join(map(str, (*parents, last)))} {done}"


def _fields(value: Any, place: tuple[str | int, ...]) -> Any:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:20]) if isinstance(value, list) else ()
    for key, its in inner:
        yield (*place, key)
        yield from _fields(its, (*place, key))


def _replacements(value: Any, rng: random.Random) -> list[Any]:
    """Values of other types, and another value of its own."""
    others: list[Any] = [None, "", "x", [], {}, -1, 0, 1.5, 10**30, True, [value], {"x": value}]
    if isinstance(value, str) and value:
        place = rng.randrange(len(value))
        others += 3 * [value[:place] + rng.choice("0aZ/é") + value[place + 1 :]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        others += 3 * [value + 1]
    return others


_MUTATIONS: dict[str, Callable[[random.Random, Path, Sequence[Path]], str]] = {
    "flip bytes": _flip,
    "overwrite a range": _overwrite,
    "truncate": _truncate,
    "append": _append,
    "empty": _empty,
    "delete": _delete,
    "delete a folder": lambda rng, file, files: "",
    "swap two files": _swap,
    "a folder in the place of": _folder,
    "a link in the place of": _link,
    "forbid": _forbid,
    "change a field": _json,
}
