"""Locks between processes. The operating system frees a lock when the process that holds it ends."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from xdr.errors import UserError, first_line

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
"""These say nothing of locks."""
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Above zero in all but the first process of a run, by torchrun, Lightning and SLURM."""
_ENDING = 5.0
"""Seconds that a run which was told to end may take for it."""


def lock(file: Path, seconds: float = -1) -> FileLock:
    """Locks the file, which is made if it is not there, until `release`. Raises filelock's `Timeout` if another process still
    holds it after so many seconds (-1: waits for ever)."""
    held = FileLock(file)
    try:
        held.acquire(timeout=seconds)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:  # the second is filelock's, where the file system has no locks
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise UserError(
            f"{file} must be a file that can be locked, got: {first_line(error)}. Remove it, or choose an output_dir and an "
            "artifacts_dir on a file system that has locks"
        ) from error
    return held


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Waits for the lock, and holds it until the block ends."""
    held = lock(file)
    try:
        yield
    finally:
        held.release()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Refuses a second run in a folder that a run is writing to. Of the processes of one run, the first has the lock."""
    if any(int(os.environ.get(name) or 0) > 0 for name in _RANKS):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.callback(lock(folder / ".run.lock", _ENDING).release)
        except Timeout:
            raise UserError(
                f"{folder} must be an output_dir that no other run writes to, and one does. Wait for its end, or choose another"
            ) from None
        except UserError:
            pass  # on a file system without locks nobody can tell
        yield
