"""A folder as files of at most so many megabytes, for machines that take no larger ones:

    python benchmarks/folder_parts.py split MODEL PARTS [--megabytes 58]
    python benchmarks/folder_parts.py join PARTS MODEL

PARTS holds index.json, with the files' sizes and SHA-256, and part-000, part-001 ...; `join` checks what it puts together.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

BLOCK = 2**20


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def digest(path: Path) -> str:
    found = hashlib.sha256()
    for block in blocks(path):
        found.update(block)
    return found.hexdigest()


def split(folder: Path, parts: Path, megabytes: int) -> None:
    parts.mkdir(parents=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    index = [[path.relative_to(folder).as_posix(), path.stat().st_size, digest(path)] for path in files]
    (parts / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    number = written = 0
    part = (parts / "part-000").open("wb")
    for block in (block for path in files for block in blocks(path)):
        if written + len(block) > megabytes * BLOCK:
            part.close()
            number, written = number + 1, 0
            part = (parts / f"part-{number:03}").open("wb")
        written += part.write(block)
    part.close()
    print(f"{number + 1} parts of {len(files)} files")


def join(parts: Path, folder: Path) -> None:
    index = json.loads((parts / "index.json").read_text())
    rest, whole = b"", (block for part in sorted(parts.glob("part-*")) for block in blocks(part))
    for name, size, expected in index:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise SystemExit(f"index.json must name files within the folder, got {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while size > 0:
                block = rest or next(whole, b"")
                if not block:
                    raise SystemExit(f"a part is missing: {name} lacks {size:,} bytes")
                file.write(block[:size])
                rest, size = block[size:], size - len(block[:size])
        if digest(path) != expected:
            raise SystemExit(f"{name} is damaged")
    print(f"{len(index)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("split", "join"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--megabytes", type=int, default=58)
    arguments = parser.parse_args()
    if arguments.action == "split":
        split(arguments.source, arguments.target, arguments.megabytes)
    else:
        join(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
