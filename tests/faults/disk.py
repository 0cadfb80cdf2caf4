"""A disk that fails at a chosen moment, for one process: each opening of a file to write, each folder made, each flush, rename
and removal is a moment before it and a moment after it."""

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Act = Callable[[str, str], None]
"""What happens at the moment. It is called with the name of the operation and the path."""

_AUDITED = {"open": "open", "os.mkdir": "mkdir", "os.remove": "remove", "os.rmdir": "rmdir"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Moments:
    """Counts the moments under a folder, and acts at one of them, or with `lasting` from it on. Works in the process that
    installs it, until its end."""

    def __init__(self, folder: Path, at: int, act: Act, *, lasting: bool = False) -> None:
        self._folder, self._at, self.act, self._lasting = str(folder), at, act, lasting
        self._flushed: set[int] = set()
        self.log: list[tuple[str, str]] = []

    def install(self) -> None:
        sys.addaudithook(self._audit)
        for name in ("fsync", "rename", "replace"):
            setattr(os, name, partial(self._around, name, getattr(os, name)))

    def lose_power(self, what: str, path: str) -> None:
        """Names are on the disk, and of contents what was flushed. All else is zeros."""
        for file in Path(self._folder).rglob("*"):
            if file.is_file() and file.stat().st_ino not in self._flushed:
                file.write_bytes(bytes(file.stat().st_size))
        die(what, path)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _AUDITED and (event != "open" or arguments[2] & _WRITES):
            self._pass(f"before {_AUDITED[event]}", arguments[0])

    def _around(self, name: str, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        path = str(Path(f"/proc/self/fd/{arguments[0]}").readlink()) if name == "fsync" else arguments[0]
        self._pass(f"before {name}", path)
        returned = function(*arguments, **more)
        if name == "fsync":
            self._flushed.add(os.fstat(arguments[0]).st_ino)
        self._pass(f"after {name}", arguments[-1] if name != "fsync" else path)
        return returned

    def _pass(self, what: str, path: Any) -> None:
        if not isinstance(path, str | Path) or not str(path).startswith(self._folder):
            return
        self.log.append((what, str(path)))
        reached = len(self.log)
        if reached == self._at or (self._lasting and reached > self._at):
            self.act(what, str(path))


def die(what: str, path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_half_written(what: str, path: str) -> None:
    """The file that is about to be flushed holds half of what was written."""
    if what == "before fsync" and Path(path).is_file():
        os.truncate(path, Path(path).stat().st_size // 2)
    die(what, path)


def forbid_long_files(what: str, path: str) -> None:
    """From now on no file can grow beyond 3,000 bytes (EFBIG). This also stops libraries in C and Rust."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


def fail(number: int, what: str, path: str) -> None:
    if what.startswith("before"):
        raise OSError(number, os.strerror(number), path)


FULL, FAILING, READ_ONLY = (partial(fail, number) for number in (errno.ENOSPC, errno.EIO, errno.EROFS))
