"""The jobs of a sweep and their states.

    SWEEP/sweep.json         the jobs that the last command asked for, in order; the command; how the sweep is read
    SWEEP/NAME/job.json      settings, state, value; NAME is the fingerprint of those settings
    SWEEP/NAME/.claim        locked by the process that runs the job

The operating system releases a lock when its process ends, so a job in state `running` that is not locked was interrupted.
"""

import math
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from filelock import Timeout

from xdr.errors import ArtefactError, UserError
from xdr.storage.files import read_sealed, write_sealed
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.locks import lock

State: TypeAlias = Literal["waiting", "running", "interrupted", "done", "failed"]

LISTING = "sweep.json"
_REMEDY = "Remove it and run the sweep's command again: finished jobs do not run again"
_ENTRY, _CLAIM = "job.json", ".claim"


@dataclass(frozen=True)
class Job:
    """`value` is what a sweeper optimizes; `error` is one sentence. Times are UTC."""

    folder: Path
    overrides: Sequence[str] = ()
    settings: Mapping[str, Json] = field(default_factory=dict)
    state: State = "waiting"
    started: str = ""
    ended: str = ""
    value: float | None = None
    error: str = ""
    host: str = ""
    process: int = 0

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def seconds(self) -> float | None:
        if not self.ended:
            return None
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()

    def begin(self, settings: Mapping[str, Json], overrides: Sequence[str]) -> "Job":
        return self._written(
            settings=settings,
            overrides=tuple(overrides),
            state="running",
            started=_now(),
            ended="",
            value=None,
            error="",
            host=socket.gethostname(),
            process=os.getpid(),
        )

    def finish(self, value: object) -> "Job":
        """Records a value that is a finite number; anything else is recorded as None."""
        number = isinstance(value, int | float) and math.isfinite(value)
        return self._written(state="done", ended=_now(), value=float(value) if number else None)  # type: ignore[arg-type]

    def fail(self, error: str) -> "Job":
        now = _now()
        return self._written(state="failed", started=self.started or now, ended=now, error=error)

    def _written(self, **changes: Any) -> "Job":
        job = replace(self, **changes)
        write_sealed(self.folder / _ENTRY, {**asdict(job), "folder": self.folder.name})
        return job


def job_name(settings: Mapping[str, Json]) -> str:
    return fingerprint(settings)[:12]


@contextmanager
def claiming(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[Job]:
    """Yields the job, locked until the block ends. Waits while another process holds it; `on_wait` is called before waiting."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = lock(folder / _CLAIM, 1)  # read_job holds the lock for a moment
    except Timeout:
        on_wait()
        held = lock(folder / _CLAIM)
    try:
        yield _read_entry(folder)
    finally:
        held.release()


def read_job(folder: Path) -> Job:
    """Returns a job in state `waiting` if it has not begun."""
    job = _read_entry(folder)
    if job.state != "running" or _is_claimed(folder):
        return job
    job = _read_entry(folder)  # it may have ended meanwhile
    return replace(job, state="interrupted") if job.state == "running" else job


def write_listing(
    sweep: Path, jobs: Mapping[str, Sequence[str]], command: str = "", reading: Mapping[str, Json] | None = None
) -> None:
    """`jobs` maps names to overrides. It is empty if the sweeper proposes jobs one after the other. `reading` are the settings
    with which stage=sweep reads the sweep."""
    sweep.mkdir(parents=True, exist_ok=True)
    listed: dict[str, Json] = {name: list(overrides) for name, overrides in jobs.items()}
    write_sealed(sweep / LISTING, {"jobs": listed, "command": command, "reading": dict(reading or {})})


def read_listing(sweep: Path) -> dict[str, Any]:
    """Returns what `write_listing` wrote. Sweeps of earlier versions have neither command nor reading."""
    return {"command": "", "reading": {}, **read_sealed(sweep / LISTING, _REMEDY, is_optional=True)}


def is_sweep(folder: Path) -> bool:
    return (folder / LISTING).is_file()


def job_of(path: Path) -> Job | None:
    """Returns the job of a sweep that wrote this file or folder, or None."""
    for folder in (path, *path.parents[:2]):
        if (folder / _ENTRY).is_file() and is_sweep(folder.parent):
            return read_job(folder)
    return None


def finished_folders(sweep: Path) -> list[Path]:
    """Returns the folders of a sweep's jobs. All must be done."""
    jobs = read_jobs(sweep) if is_sweep(sweep) else []
    if not jobs:
        raise UserError(
            f"{sweep}/* must name the jobs of a sweep, got a folder without jobs. Run the command of that sweep first"
        )
    if unfinished := [job for job in jobs if job.state != "done"]:
        raise UserError(
            f"{sweep}/* must name jobs that are done, got {len(unfinished)} of {len(jobs)} that are not: {unfinished[0].name} "
            f"is {unfinished[0].state}. Run that sweep's command again, or remove the folders that you do not want"
        )
    return [job.folder for job in jobs]


def read_jobs(sweep: Path) -> list[Job]:
    """Returns the jobs of the last command in its order, then those of earlier commands by the time they started."""
    if not is_sweep(sweep):
        raise UserError(f"output_dir must be the folder of a sweep (a command with -m), got {sweep}, which has no {LISTING}")
    listed = read_listing(sweep).get("jobs")
    if not isinstance(listed, dict):
        raise ArtefactError(
            f"{sweep / LISTING} is damaged: it must list jobs. Run the sweep's command again, which rewrites it"
        )
    jobs = []
    for name, overrides in listed.items():
        job = read_job(sweep / name)
        jobs.append(job if job.overrides else replace(job, overrides=tuple(overrides)))
    others = [read_job(file.parent) for file in sweep.glob(f"*/{_ENTRY}") if file.parent.name not in listed]
    return [*jobs, *sorted(others, key=lambda job: job.started)]


def _read_entry(folder: Path) -> Job:
    if not os.path.lexists(folder / _ENTRY):
        return Job(folder)
    entry: dict[str, Any] = read_sealed(folder / _ENTRY, is_optional=True)
    if (name := entry.pop("folder", folder.name)) != folder.name:
        raise ArtefactError(f"{folder / _ENTRY} is that of the job {name}. Remove {folder} and run the sweep's command again")
    if set(entry) != set(Job.__dataclass_fields__) - {"folder"}:
        raise ArtefactError(
            f"{folder / _ENTRY} was written by another version of xdr. Remove {folder} and run the sweep's command again"
        )
    return Job(folder, **entry)


def _is_claimed(folder: Path) -> bool:
    try:
        lock(folder / _CLAIM, 0).release()
    except Timeout:
        return True
    return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
