"""One job of a sweep: its name, and its state in the ledger."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import Container, DictConfig, OmegaConf

from xdr.errors import Unfinished, UserError
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import Job, claiming, is_sweep, job_name

NOT_IN_FINGERPRINT = {
    "": (
        *("hydra", "output_dir", "artifacts_dir", "artifacts_mirror", "logger"),
        *("resume", "plan", "plugins", "retry", "sweep", "publish"),
    ),
    "trainer": ("accelerator", "devices", "num_nodes", "strategy", "enable_progress_bar"),
    "data.batches": ("num_workers",),
}
"""Settings that say where a job runs or what it prints. The job's result does not depend on them."""

INTERRUPTED = 143
"""Exit status of a process that SIGTERM interrupted before its job was done."""


def fingerprinted(settings: DictConfig) -> dict[str, Json]:
    """The settings that a job's result depends on, as plain values."""
    values = {str(key): _plain(settings, str(key)) for key in settings if key not in NOT_IN_FINGERPRINT[""]}
    for place, keys in NOT_IN_FINGERPRINT.items():
        node: Any = values
        for part in filter(None, place.split(".")):
            node = node.get(part) or {}
        for key in keys:
            node.pop(key, None)
    return values


def run_job(task: Callable[[DictConfig], Any], settings: DictConfig) -> Any:
    """Runs the job. In a sweep's folder it is claimed first, its state is kept, and a finished job does not run again."""
    folder, values = Path(settings.output_dir), fingerprinted(settings)
    if not is_sweep(folder.parent) or folder.name != job_name(values):
        if settings.retry:
            raise UserError("retry=true runs the failed jobs of a sweep again; add -m, or leave it out")
        return task(settings)
    if settings.plan or int(os.environ.get("LOCAL_RANK", 0)) > 0:
        return task(settings)  # plans are not in the ledger, and only the first process of a job writes it
    with claiming(folder, lambda: _print(folder, "runs in another process; waiting for it")) as job:
        if job.state == "done":
            _print(folder, f"was finished before{_with_value(job)}")
            return job.value
        if job.state == "failed" and not settings.retry:
            return _failed(job, f"failed before: {job.error} (retry=true runs it again)")
        _print(folder, "resumes" if job.state == "running" else "starts")
        return _work(task, settings, job.begin(values, list(HydraConfig.get().overrides.task)))


def _work(task: Callable[[DictConfig], Any], settings: DictConfig, job: Job) -> Any:
    try:
        value = task(settings)
    except Unfinished:
        raise SystemExit(INTERRUPTED) from None
    except UserError as error:
        return _failed(job.fail(str(error)))
    except Exception as error:  # the ledger keeps any failure, and the next job starts
        traceback.print_exc()
        first, *_ = str(error).strip().splitlines() or [""]
        return _failed(job.fail(f"{type(error).__name__}: {first}"))
    job = job.finish(value)
    _print(job.folder, f"is finished{_with_value(job)}")
    return job.value


def _failed(job: Job, message: str = "") -> None:
    """A job in a process of its own ends with an error status; otherwise the sweep goes on with the next job."""
    _print(job.folder, message or f"failed: {job.error}")
    if str(HydraConfig.get().mode) == "RunMode.RUN":
        raise SystemExit(2)


def _print(folder: Path, what: str) -> None:
    print(f"job {folder.name} {what}", flush=True)


def _with_value(job: Job) -> str:
    return "" if job.value is None else f", {job.value:.4g}"


def _plain(settings: DictConfig, key: str) -> Any:
    node = settings[key]
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, Container) else node


OmegaConf.register_new_resolver(  # here: a worker of joblib or submitit imports this file with the task, and no other first
    "job_name", lambda *, _root_: job_name(fingerprinted(_root_)), replace=True
)
