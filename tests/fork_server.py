"""The server of `forks.py`: imports modules, and then forks for each request."""

import gc
import json
import os
import runpy
import signal
import socket
import sys
import threading
from importlib import import_module
from pathlib import Path

LONGEST_REQUEST = 1 << 18


def next_script(requests: socket.socket) -> str | None:
    """In a fork, the script that it runs; in the server, None at the end of the requests."""
    while True:
        request, files, *_ = socket.recv_fds(requests, LONGEST_REQUEST, 2)
        if not request:
            return None
        if os.fork() == 0:
            requests.close()
            return watched(*json.loads(request), *files)
        for file in files:
            os.close(file)


def watched(command: list[str], folder: str, environment: dict[str, str], output: int, status: int) -> str:
    """Forks again. Returns in the process that runs the command; the other one waits for it and writes how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process != 0:
        os.close(output)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        os._exit(0)
    os.setsid()
    os.write(status, b"%d\n" % os.getpid())
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(status)
    os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.argv[:] = command
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # the same in all forks, unlike Python's own generator
    return command[0]


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    connection = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        import_module(module)
    assert threading.active_count() == 1, "a fork has no other thread"
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that those who wait leave no zombies
    if script := next_script(connection):
        runpy.run_path(script, run_name="__main__")
