"""Fingerprints: short hashes of contents, equal for equal contents on every machine."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | tuple["Json", ...] | Mapping[str, "Json"] | None

_SAMPLE_BYTES = 1 << 16


def fingerprint(value: Json) -> str:
    """Returns 32 hexadecimal digits. The order of keys does not matter."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def checksum_file(path: Path) -> str:
    """Returns the SHA-256 of the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identify_files(paths: Iterable[Path]) -> dict[str, Json]:
    """Returns what shows that a file was edited, without reading all of it: name, size, modification time, and a hash of the
    bytes at both ends."""
    return {str(path): _identify(path) for path in paths}


def _identify(path: Path) -> Json:
    stat = path.stat()
    with path.open("rb") as file:
        ends = file.read(_SAMPLE_BYTES)
        file.seek(max(0, stat.st_size - _SAMPLE_BYTES))
        ends += file.read(_SAMPLE_BYTES)
    return {"bytes": stat.st_size, "changed_ns": stat.st_mtime_ns, "ends": hashlib.sha256(ends).hexdigest()[:32]}
