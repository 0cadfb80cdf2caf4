"""Processes that need no imports: forks of a server that has made them.

The server (`fork_server.py`) imports torch, Lightning and the rooms, which takes longer than most runs of the tests. A fork has
a session, a folder, an environment and an output like any other process, and can be killed. The forks of one server have the
same hashes of strings, hence the same order of sets. Two servers take turns, so a test that compares two runs also compares two
orders.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
WORK_HERE = sys.platform == "linux" and not Path("/dev/nvidiactl").exists()
"""CUDA does not work in a fork, and neither do Apple's libraries."""

_SCRIPTS = ("conf.entry", "train", "evaluate")
_LIBRARIES = ("callbacks", "xdr/pipelines", "xdr/training")
"""What knows Lightning imports the rest."""
_turns = cycle((1, 2))
_environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}
"""Of the servers: libraries read some variables when they are imported, and tests change them later."""


def start_script(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, light: bool = False
) -> "subprocess.Popen[str] | Fork":
    """A script and its arguments in a process that has imported what the two commands use, or with `light` only what they use
    until they have checked the settings. Errors go to the output."""
    if WORK_HERE:
        return Fork(command, folder, environment, light)
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class Fork:
    """Has those methods of `subprocess.Popen` that the tests use."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], light: bool = False) -> None:
        self._output, output = _pipe()
        self._status, status = _pipe()
        request = json.dumps([list(command), str(folder), dict(environment)])
        requests, server = _server(0 if light else next(_turns))
        with output, status:
            socket.send_fds(requests, [request.encode()], [output.fileno(), status.fileno()])
        number = self._status.readline()
        assert number, server.communicate()[0]
        self.pid = int(number)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and _readable(self._status, 0):
            self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self, timeout: float = 600) -> tuple[str, None]:
        """Returns the output when it is complete: when every process that may write to it has ended."""
        text, end = b"", time.monotonic() + timeout
        with self._output, self._status:
            while _readable(self._output, end - time.monotonic()) and (part := self._output.read(1 << 16)):
                text += part
            _readable(self._status, end - time.monotonic())
            if self.poll() is None:
                raise subprocess.TimeoutExpired("a fork", timeout, text)
        return text.decode().replace("\r\n", "\n").replace("\r", "\n"), None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb", buffering=0)


def _readable(file: IO[bytes], seconds: float) -> bool:
    """Whether there is something to read, or the end of the file, within that time."""
    return bool(select.select([file], [], [], max(0, seconds))[0])


@cache
def _server(number: int) -> tuple[socket.socket, subprocess.Popen[str]]:
    """Ends when this process does, which has the other end of its socket. Like the output of any fork its own is a pipe."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    modules = [*_SCRIPTS, *(_with_lightning() if number else [])]
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(theirs.fileno()), *modules],
            env=_environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    return ours, process


def _with_lightning() -> list[str]:
    files = [path.relative_to(ROOT).with_suffix("") for room in _LIBRARIES for path in (ROOT / room).glob("[!_]*.py")]
    return ["xdr.encoders.small", *sorted(".".join(file.parts) for file in files)]
