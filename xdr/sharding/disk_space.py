"""Disk space: a job that cannot fit is refused before it starts, and a full disk is one sentence."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdr.errors import UserError

_ELSEWHERE = "Choose an output_dir and an artifacts_dir that can be written to"
_IN_THE_WAY = "Something else stands in its place: remove it and run the command again"
_REMEDIES = {
    errno.EIO: "The disk or its connection fails. Finished work is saved: check the disk and run the same command to resume",
    errno.EFBIG: "The file system, or `ulimit -f`, allows no longer files. Finished work is saved: run the same command to "
    "resume where longer ones are allowed",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ELOOP: _IN_THE_WAY,
}


def require_room(folder: Path, num_bytes: float, what: str, setting: str = "artifacts_dir") -> None:
    """Refuses to write `num_bytes` more to the disk of an existing folder that has less free. `setting` chooses the disk."""
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise UserError(
            f"{what} take {shown_bytes(num_bytes)}, and only {shown_bytes(free)} are free at {folder}. Free some space, or "
            f"set {setting} to a larger disk"
        )


@contextmanager
def explaining_the_disk(
    remedy: str = "Finished work is saved. Free some space and run the same command to resume",
) -> Iterator[None]:
    """What a disk refuses becomes one sentence. `remedy` is that for a full one."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the disk is full. {remedy}") from error
        if error.errno not in _REMEDIES:
            raise
        which = f"'{error.filename}'" if error.filename else "a file"
        raise UserError(f"{which} cannot be used: {error.strerror}. {_REMEDIES[error.errno]}") from error


def shown_bytes(number: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} kB" if number >= 1e4 else f"{number:,.0f} bytes"
