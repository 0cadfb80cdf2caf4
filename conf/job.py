"""One job of a sweep: what it is named, and what becomes of it."""

import os
import traceback
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import Container, DictConfig, OmegaConf

from xdr.errors import Unfinished, UserError
from xdr.storage.fingerprint import Json
from xdr.storage.jobs import Job, claiming, is_sweep, job_name

WITHOUT_INFLUENCE = {
    "": ("hydra", "output_dir", "artifacts_dir", "logger", "wandb", "resume", "plan", "retry", "sweep"),
    "trainer": ("accelerator", "devices", "num_nodes", "strategy", "enable_progress_bar"),
    "data.batches": ("num_workers",),
}
"""Settings that say where a job runs and what it tells, not what comes of it. They are not in its fingerprint."""

INTERRUPTED = 143
"""The exit status of a process that was asked to end, and did before its job was done."""


def counting(settings: DictConfig) -> dict[str, Json]:
    """The settings that a job's result depends on, as plain values."""
    found = {str(key): _plain(settings, str(key)) for key in settings if key not in WITHOUT_INFLUENCE[""]}
    for place, keys in WITHOUT_INFLUENCE.items():
        node: Any = found
        for part in filter(None, place.split(".")):
            node = node.get(part) or {}
        for key in keys:
            node.pop(key, None)
    return found


def run_job(task: Callable[[DictConfig], Any], settings: DictConfig) -> Any:
    """In a sweep's folder the job is claimed, and the ledger says how it is doing; one that is done is not done again."""
    folder, settled = Path(settings.output_dir), counting(settings)
    if not is_sweep(folder.parent) or folder.name != job_name(settled):
        if settings.retry:
            raise UserError("retry=true does again what failed in a sweep; add -m, or leave it out")
        return task(settings)
    if settings.plan or int(os.environ.get("LOCAL_RANK", 0)) > 0:
        return task(settings)  # a plan is no job; of several processes the first keeps the ledger
    with claiming(folder, lambda: _say(folder, "is being done by another process; waiting")) as job:
        if job.state == "done":
            _say(folder, f"was done before{_with_value(job)}")
            return job.value
        if job.state == "failed" and not settings.retry:
            return _failed(job, f"failed before: {job.error} (retry=true does it again)")
        _say(folder, "goes on" if job.state == "running" else "begins")
        return _work(task, settings, job.begin(settled, list(HydraConfig.get().overrides.task)))


def _work(task: Callable[[DictConfig], Any], settings: DictConfig, job: Job) -> Any:
    try:
        value = task(settings)
    except Unfinished:
        raise SystemExit(INTERRUPTED) from None
    except UserError as error:
        return _failed(job.fail(str(error)))
    except Exception as error:  # whatever it is, the ledger says so and the next job has its turn
        traceback.print_exc()
        first, *_ = str(error).strip().splitlines() or [""]
        return _failed(job.fail(f"{type(error).__name__}: {first}"))
    job = job.finish(value)
    _say(job.folder, f"is done{_with_value(job)}")
    return job.value


def _failed(job: Job, said: str = "") -> None:
    """A job that has a process of its own says so by its exit status; else it is the next one's turn."""
    _say(job.folder, said or f"failed: {job.error}")
    if str(HydraConfig.get().mode) == "RunMode.RUN":
        raise SystemExit(2)


def _say(folder: Path, what: str) -> None:
    print(f"job {folder.name} {what}", flush=True)


def _with_value(job: Job) -> str:
    return "" if job.value is None else f", {job.value:.4g}"


def _plain(settings: DictConfig, key: str) -> Any:
    node = settings[key]
    if isinstance(node, Container):
        return OmegaConf.to_container(node, resolve=True, enum_to_str=True)
    return node.name if isinstance(node, Enum) else node


OmegaConf.register_new_resolver(  # here: a worker of joblib or submitit imports this file with the task, and no other first
    "job_name", lambda *, _root_: job_name(counting(_root_)), replace=True
)
