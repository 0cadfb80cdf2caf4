"""Write, then rename: a reader sees a complete file or folder, or none."""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdr.errors import ArtefactError
from xdr.storage.fingerprint import Json

_HOST = socket.gethostname()


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to. On success it is renamed to `path`; on any error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        _flush_to_disk(partial)
        partial.replace(path)
        _flush_to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def creating_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`. On success it is renamed to `path`, unless another process has created `path`
    meanwhile; then, and on any error, it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    partial.mkdir()
    try:
        yield partial
        for file in partial.rglob("*"):
            _flush_to_disk(file)
        try:
            partial.rename(path)
        except OSError:  # a folder cannot replace one that is not empty
            if not path.is_dir():
                raise
        _flush_to_disk(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Removes what processes of this machine were writing in `folder` when they were killed."""
    for leftover in folder.glob(f".*.{_HOST}-*.partial"):
        process = int(leftover.name.split(f".{_HOST}-", 1)[1].split("-", 1)[0])
        if not is_alive(process):
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    """The name holds host and process, so that `remove_leftovers` can tell whether the writer still runs."""
    return path.parent / f".{path.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.partial"


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_json(path: Path, value: Json) -> None:
    with replacing_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Json]:
    """Returns the object in a file that xdr wrote."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ArtefactError(
            f"{path} is damaged: {error}. Remove {path.parent} and run the command that makes it again"
        ) from error
    if not isinstance(value, dict):
        raise ArtefactError(
            f"{path} is damaged: it must hold a JSON object. Remove {path.parent} and run the command that makes it again"
        )
    return value


def _flush_to_disk(path: Path) -> None:
    """Otherwise the rename could reach the disk before the content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
