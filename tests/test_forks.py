"""Forks in place of processes, which most tests of whole runs use."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import WORK_HERE, Fork

pytestmark = pytest.mark.skipif(not WORK_HERE, reason="needs forks, which are used on Linux without an NVIDIA card")

SCRIPT = """
import atexit, os, sys, threading
atexit.register(print, "at exit")
def late():
    threading.main_thread().join()
    print(__name__, sys.argv[1:], os.getcwd(), os.environ["COLOUR"])

threading.Thread(target=late).start()
print(os.getsid(0) == os.getpid(), sys.stdin.read() == "", sys.stdout.isatty(), "at fault", file=sys.stderr)
sys.exit(7)
"""


def test_a_fork_says_and_returns_what_a_process_does(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command, environment = [str(tmp_path / "script.py"), "a", "ö"], {**os.environ, "COLOUR": "red"}
    fork = Fork(command, tmp_path, environment)
    process = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert fork.communicate()[0] == process.stdout
    assert "red" in process.stdout and "at exit" in process.stdout
    assert fork.returncode == fork.poll() == process.returncode == 7


def test_a_fork_can_be_killed_and_its_error_is_seen(tmp_path: Path) -> None:
    (tmp_path / "sleep.py").write_text("import time; time.sleep(600)")
    (tmp_path / "fail.py").write_text("1 / 0")
    asleep = Fork([str(tmp_path / "sleep.py")], tmp_path, os.environ)
    assert asleep.poll() is None
    os.killpg(asleep.pid, signal.SIGKILL)
    assert asleep.communicate() == ("", None) and asleep.returncode == -signal.SIGKILL
    failed = Fork([str(tmp_path / "fail.py")], tmp_path, os.environ)
    assert "ZeroDivisionError" in failed.communicate()[0] and failed.returncode == 1


def test_one_fork_after_another_has_another_order_of_sets_and_other_random_numbers(tmp_path: Path) -> None:
    (tmp_path / "order.py").write_text("import random, numpy; print(hash('a'), random.random(), numpy.random.rand())")
    printed = [Fork([str(tmp_path / "order.py")], tmp_path, os.environ).communicate()[0].split() for _ in range(3)]
    hashes, *numbers = (set(column) for column in zip(*printed, strict=True))
    assert len(hashes) == 2 and [len(column) for column in numbers] == [3, 3]
