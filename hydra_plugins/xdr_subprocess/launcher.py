"""Runs each job of a sweep in a process of its own, so that Lightning's DDP, W&B and GPU memory work as in a single run."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from xdr.errors import UserError
from xdr.storage.jobs import Job, claiming, read_job

OUTPUT = "output.txt"
"""In a job's folder: the output of its process."""

POLL_SECONDS = 0.05
GRACE_SECONDS = 60.0
"""How long a process has to end after SIGTERM, before SIGKILL."""

_SWEEP_OVERRIDES = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.sweep.", "hydra.mode")


@dataclass
class SubprocessLauncherConf:
    _target_: str = "hydra_plugins.xdr_subprocess.launcher.SubprocessLauncher"
    n_jobs: int = 1  # processes at a time


ConfigStore.instance().store(group="hydra/launcher", name="subprocess", node=SubprocessLauncherConf, provider="xdr")


class Process(Protocol):
    """What the launcher needs of a job's process."""

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def send(self, number: signal.Signals) -> None:
        """To all processes of the job."""
        ...


class LocalProcess(subprocess.Popen[bytes]):
    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


@dataclass
class _Started:
    number: int
    folder: Path
    process: Process


class SubprocessLauncher(Launcher):
    def __init__(self, n_jobs: int) -> None:
        if n_jobs < 1:
            raise UserError(f"hydra.launcher.n_jobs must be at least 1, got {n_jobs}")
        self._n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        waiting = deque(enumerate(job_overrides))
        running: list[_Started] = []
        ended: dict[int, JobReturn] = {}
        with _stopping_jobs(running):
            while waiting or running:
                while waiting and len(running) < self._n_jobs:
                    number, overrides = waiting.popleft()
                    folder = self._folder(overrides)
                    if (job := read_job(folder)).state == "done":
                        ended[number] = _job_return(job, overrides, "was done before")
                    else:
                        running.append(self._start(number, initial_job_idx + number, folder, overrides))
                time.sleep(POLL_SECONDS)
                for started in [started for started in running if started.process.poll() is not None]:
                    running.remove(started)
                    job = _final_state(started)
                    ended[started.number] = _job_return(job, job_overrides[started.number], job.state)
        return [ended[number] for number in range(len(job_overrides))]

    def _folder(self, overrides: Sequence[str]) -> Path:
        settings = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        return Path(settings.hydra.sweep.dir, settings.hydra.sweep.subdir).absolute()

    def _start(self, number: int, place: int, folder: Path, overrides: Sequence[str]) -> _Started:
        folder.mkdir(parents=True, exist_ok=True)
        inherited = [
            override
            for override in self._config.hydra.overrides.hydra
            if not override.lstrip("+~").startswith(_SWEEP_OVERRIDES)
        ]
        command = [sys.executable, str(Path(sys.argv[0]).absolute()), *overrides, *inherited]
        command += [f"hydra.run.dir='{_quoted(folder)}'", "hydra.mode=RUN", f"hydra.job.num={place}"]
        print(f"job {folder.name} starts: {' '.join(overrides)}", flush=True)
        return _Started(number, folder, self.start(command, folder / OUTPUT))

    def start(self, command: Sequence[str], output: Path) -> Process:
        return start_process(command, output)


def start_process(command: Sequence[str], output: Path) -> LocalProcess:
    with output.open("ab") as file:
        return LocalProcess(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)


def _final_state(started: _Started) -> Job:
    """Reads the job's state, and records a failure for a process that was killed before it could."""
    status, job = started.process.wait(), read_job(started.folder)
    if job.state in ("done", "failed") or status in (0, 128 + signal.SIGTERM):
        return job
    with claiming(started.folder) as job:
        return job.fail(_exit_message(status, started.folder))


def _job_return(job: Job, overrides: Sequence[str], outcome: str) -> JobReturn:
    value = "" if job.value is None else f", {job.value:.4g}"
    print(f"job {job.name} {outcome}{f': {job.error}' if job.error else value}", flush=True)
    result = JobReturn(overrides=list(overrides), working_dir=str(job.folder), status=JobStatus.COMPLETED)
    result.return_value = job.value
    return result


def _exit_message(status: int, folder: Path) -> str:
    cause = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    hint = " (out of memory?)" if status == -signal.SIGKILL else ""
    return f"the process {cause}{hint}. See {folder / OUTPUT}"


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def _stopping_jobs(running: list[_Started]) -> Iterator[None]:
    """Passes SIGINT and SIGTERM on to the jobs, and gives them time to write a checkpoint."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
        _terminate(running)
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(running: Sequence[_Started]) -> None:
    for job in running:
        job.process.send(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(job.process.poll() is None for job in running) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for job in running:
        job.process.send(signal.SIGKILL)
        job.process.wait()
