"""Write, then rename: a reader sees a complete file or folder, or none."""

import errno
import glob
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from xdr.errors import ArtefactError, UserError, first_line, in_one_sentence
from xdr.storage.fingerprint import Json, fingerprint

_SEAL = "seal"

_HOST = socket.gethostname()
_LEFT_ON_FULL_DISK = 1 << 20
"""At most this many bytes are left on a disk that a write has just filled."""
_FAILED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_OF_THE_FILE_SYSTEM = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EXDEV, errno.EEXIST}


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to. On success it is renamed to `path`; on any error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, glob.escape(path.name))
    partial = _partial(path)
    try:
        with _telling_what_the_disk_refused(path.parent):
            yield partial
        _flush_to_disk(partial)
        try:
            partial.replace(path)
        except OSError as error:
            raise _unrenamed(path, error) from error
        _flush_to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def creating_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`. On success it is renamed to `path`, unless another process has created `path`
    meanwhile; then, and on any error, it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, glob.escape(path.name))
    partial = _partial(path)
    partial.mkdir()
    try:
        with _telling_what_the_disk_refused(path.parent):
            yield partial
        for file in (*partial.rglob("*"), partial):  # a folder's names of files are flushed with the folder
            _flush_to_disk(file)
        try:
            partial.rename(path)
        except OSError as error:  # a folder cannot replace one that is not empty
            if not path.is_dir():
                raise _unrenamed(path, error) from error
        _flush_to_disk(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _telling_what_the_disk_refused(folder: Path) -> Iterator[None]:
    """Around code that writes there: libraries in other languages raise errors of their own."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        number = None if getattr(error, "errno", None) is not None else _refused_write(error, folder)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(folder)) from error


def _refused_write(error: BaseException, folder: Path) -> int | None:
    """Returns the number of the system's error that made a write fail. It is in the chain of errors, or in their texts."""
    if _is_full(folder):
        return errno.ENOSPC
    seen: BaseException | None = error
    while seen is not None:
        for number in _FAILED_WRITES:
            if getattr(seen, "errno", None) == number or os.strerror(number) in str(seen):
                return number
        if isinstance(seen, OSError) and "requested and" in str(seen):  # numpy tells how much it wrote, and not why
            return errno.EIO
        seen = seen.__cause__ or seen.__context__
    return None


def _is_full(folder: Path) -> bool:
    free = os.statvfs(folder)
    return free.f_bavail * free.f_frsize <= _LEFT_ON_FULL_DISK or (free.f_files > 0 and free.f_favail == 0)


def _unrenamed(path: Path, error: OSError) -> Exception:
    """What is said where the new file or folder could not get its name."""
    if os.path.lexists(path) and error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
        return UserError(f"{path} cannot be replaced: {error.strerror}. Remove it and run the command again")
    if error.errno in _OF_THE_FILE_SYSTEM:
        return UserError(
            f"{path.parent} must be on a file system where a file can be renamed to an existing one, got: {error.strerror}. "
            "Choose another output_dir or artifacts_dir"
        )
    return error


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Removes what processes of this machine were writing in `folder`, under this name or any, when they were killed."""
    for leftover in folder.glob(f".{name}.{_HOST}-*.partial"):
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


def read_json(path: Path, remedy: str | None = None) -> dict[str, Json]:
    """Returns the object in a file that xdr wrote. Without a `remedy`, a damaged one asks for its folder to be made again."""
    with _refusing_damage(path, remedy):
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("it must hold a JSON object")
    return value


def write_sealed(path: Path, value: Mapping[str, Json]) -> None:
    """Writes an object with the fingerprint of its content."""
    as_read = json.loads(json.dumps(value))  # with keys that are strings
    write_json(path, {**as_read, _SEAL: fingerprint(as_read)})


def read_sealed(path: Path, remedy: str | None = None, *, is_optional: bool = False) -> dict[str, Json]:
    """Returns what `write_sealed` wrote; any change of it is damage. `is_optional` accepts files that earlier versions wrote
    without a seal."""
    value = read_json(path, remedy)
    seal = value.pop(_SEAL, None)
    if seal != fingerprint(value) and not (is_optional and seal is None):
        with _refusing_damage(path, remedy):
            raise ValueError("its content is not what its seal says" if seal else "it has no seal, as in an earlier version")
    return value


def _refusing_damage(path: Path, remedy: str | None) -> AbstractContextManager[None]:
    from xdr.storage.remote import remedy as of_folder  # it uses this module

    def error_of(error: Exception) -> ArtefactError:
        return ArtefactError(f"{path} is damaged: {first_line(error)}. {remedy or of_folder(path.parent)}")

    return in_one_sentence(error_of)


def _flush_to_disk(path: Path) -> None:
    """Otherwise the rename could reach the disk before the content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
