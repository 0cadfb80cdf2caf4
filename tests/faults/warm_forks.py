"""Stages in forks of a process that has imported what they use and composed their settings: tenths of a second each."""

import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from conf import entry
from xdr.errors import UserError
from xdr.sharding.disk_space import explaining_the_disk

_MOST_MEMORY = 8 << 30
"""Of addresses; an array whose damaged header asks for more cannot be had."""
_MOST_SECONDS = 120


class Ended(NamedTuple):
    """`status` is that of the command, or minus the signal that killed it."""

    status: int
    output: str


def run_in_fork(work: Callable[[], object], output: Path) -> Ended:
    """Does the work as the two commands would, in a process of its own."""
    return run_in_forks([work], output)[0]


def run_in_forks(works: Sequence[Callable[[], object]], output: Path) -> list[Ended]:
    """Does them at the same time."""
    running = [_start(work, Path(f"{output}{number or ''}")) for number, work in enumerate(works)]
    return [_wait(*one) for one in running]


def _start(work: Callable[[], object], output: Path) -> tuple[int, int]:
    sys.stdout.flush()
    source, sink = os.pipe()  # not a file, which a fault may forbid
    process = os.fork()
    if process == 0:
        os._exit(_do(work, output, sink))
    os.close(sink)
    os.set_blocking(source, False)
    return process, source


def _wait(process: int, source: int) -> Ended:
    said, waited = b"", (0, 0)
    while waited[0] == 0:  # a child of the process may keep the pipe open, so its end is not awaited
        select.select([source], [], [], 0.05)
        waited = os.waitpid(process, os.WNOHANG)
        with suppress(BlockingIOError):
            while part := os.read(source, 1 << 16):
                said += part
    os.close(source)
    return Ended(os.waitstatus_to_exitcode(waited[1]), said.decode(errors="replace"))


def _do(work: Callable[[], object], output: Path, sink: int) -> int:
    os.setsid()
    signal.alarm(_MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.stdout = sys.stderr = os.fdopen(sink, "w", encoding="utf-8", errors="backslashreplace")  # pytest's are others
    status = 0
    try:
        try:
            with explaining_the_disk():
                work()
        except UserError as error:
            entry._exit(error)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    with suppress(OSError):
        Path(f"{output}.modules").write_text(json.dumps(list(sys.modules)))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def import_what_it_used(output: Path) -> None:
    """So that the next forks need not."""
    for module in json.loads(Path(f"{output}.modules").read_text()):
        if module not in sys.modules:
            with suppress(Exception):
                import_module(module)
