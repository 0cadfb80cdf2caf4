"""Disk space: a job that cannot fit is refused before it starts, and a full disk is one sentence."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdr.errors import UserError


def require_room(folder: Path, num_bytes: float, what: str, setting: str = "artifacts_dir") -> None:
    """Refuses to write `num_bytes` more to the disk of an existing folder that has less free. `setting` chooses the disk."""
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise UserError(
            f"{what} take {shown_bytes(num_bytes)}, and only {shown_bytes(free)} are free at {folder}. Free some space, or "
            f"set {setting} to a larger disk"
        )


@contextmanager
def reporting_full_disk(
    remedy: str = "Finished shards are complete. Free some space and run the same command to resume",
) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(f"the disk is full. {remedy}") from error


def shown_bytes(number: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} kB" if number >= 1e4 else f"{number:,.0f} bytes"
