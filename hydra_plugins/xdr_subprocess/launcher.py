"""Each job is an ordinary single run: Lightning's DDP, W&B and the memory of a device know of no sweep."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from xdr.errors import UserError
from xdr.storage.jobs import Job, claiming, read_job

OUTPUT = "output.txt"
"""In a job's folder: what it printed."""

_LOOKS_APART, _GRACE = 0.05, 60.0
"""Seconds between two looks at the processes, and until one that was asked to end is ended."""

_NOT_A_JOB_S = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.sweep.", "hydra.mode")


@dataclass
class SubprocessLauncherConf:
    _target_: str = "hydra_plugins.xdr_subprocess.launcher.SubprocessLauncher"
    n_jobs: int = 1  # at a time


ConfigStore.instance().store(group="hydra/launcher", name="subprocess", node=SubprocessLauncherConf, provider="xdr")


@dataclass
class _Started:
    number: int
    folder: Path
    process: subprocess.Popen[bytes]


class SubprocessLauncher(Launcher):
    def __init__(self, n_jobs: int) -> None:
        if n_jobs < 1:
            raise UserError(f"hydra.launcher.n_jobs is at least 1, and {n_jobs} came")
        self._n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        waiting = deque(enumerate(job_overrides))
        running: list[_Started] = []
        ended: dict[int, JobReturn] = {}
        with _ended_with_us(running):
            while waiting or running:
                while waiting and len(running) < self._n_jobs:
                    number, overrides = waiting.popleft()
                    folder = self._folder(overrides)
                    if (job := read_job(folder)).state == "done":
                        ended[number] = _returned(job, overrides, "was done before")
                    else:
                        running.append(self._start(number, initial_job_idx + number, folder, overrides))
                time.sleep(_LOOKS_APART)
                for started in [started for started in running if started.process.poll() is not None]:
                    running.remove(started)
                    job = _ended(started)
                    ended[started.number] = _returned(job, job_overrides[started.number], job.state)
        return [ended[number] for number in range(len(job_overrides))]

    def _folder(self, overrides: Sequence[str]) -> Path:
        settings = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        return Path(settings.hydra.sweep.dir, settings.hydra.sweep.subdir).absolute()

    def _start(self, number: int, place: int, folder: Path, overrides: Sequence[str]) -> _Started:
        folder.mkdir(parents=True, exist_ok=True)
        own = [
            override for override in self._config.hydra.overrides.hydra if not override.lstrip("+~").startswith(_NOT_A_JOB_S)
        ]
        command = [sys.executable, str(Path(sys.argv[0]).absolute()), *overrides, *own]
        command += [f"hydra.run.dir='{_quoted(folder)}'", "hydra.mode=RUN", f"hydra.job.num={place}"]
        print(f"job {folder.name} starts: {' '.join(overrides)}", flush=True)
        with (folder / OUTPUT).open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        return _Started(number, folder, process)


def _ended(started: _Started) -> Job:
    """As the ledger has it. A process that was killed had no time to write there why."""
    status, job = started.process.returncode, read_job(started.folder)
    if job.state in ("done", "failed") or status in (0, 128 + signal.SIGTERM):
        return job
    with claiming(started.folder) as job:
        return job.fail(_ending(status, started.folder))


def _returned(job: Job, overrides: Sequence[str], said: str) -> JobReturn:
    value = "" if job.value is None else f", {job.value:.4g}"
    print(f"job {job.name} {said}{f': {job.error}' if job.error else value}", flush=True)
    result = JobReturn(overrides=list(overrides), working_dir=str(job.folder), status=JobStatus.COMPLETED)
    result.return_value = job.value
    return result


def _ending(status: int, folder: Path) -> str:
    cause = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    hint = " (out of memory?)" if status == -signal.SIGKILL else ""
    return f"its process {cause}{hint}; its last words are in {folder / OUTPUT}"


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def _ended_with_us(running: list[_Started]) -> Iterator[None]:
    """Whoever ends this process ends its jobs: SIGINT and SIGTERM are passed on, with time to write a checkpoint."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second one does not interrupt the ending
        _end(running)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(running: Sequence[_Started]) -> None:
    for job in running:
        _send(job, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while any(job.process.poll() is None for job in running) and time.monotonic() < deadline:
        time.sleep(_LOOKS_APART)
    for job in running:
        _send(job, signal.SIGKILL)
        job.process.wait()


def _send(job: _Started, number: signal.Signals) -> None:
    """To the job's processes, all of them."""
    try:
        os.killpg(job.process.pid, number)
    except ProcessLookupError:
        return
