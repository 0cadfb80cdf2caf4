"""Runs each job of a sweep in a process of its own on a node of a Ray cluster."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.xdr_subprocess.launcher import POLL_SECONDS, Process, SubprocessLauncher, start_process
from xdr.cluster.joining import joined
from xdr.errors import UserError, first_line


@dataclass
class RaySubprocessLauncherConf:
    _target_: str = "hydra_plugins.xdr_subprocess.ray_launcher.RaySubprocessLauncher"
    address: str | None = None  # of a cluster; auto: the one that this machine belongs to; null: this machine alone
    n_jobs: int = 16  # processes at a time; those without a place in the cluster wait for one
    cpus: float = 1.0  # of each job
    gpus: float = 0.0


ConfigStore.instance().store(group="hydra/launcher", name="ray_subprocess", node=RaySubprocessLauncherConf, provider="xdr")


class RaySubprocessLauncher(SubprocessLauncher):
    def __init__(self, address: str | None, n_jobs: int, cpus: float, gpus: float) -> None:
        super().__init__(n_jobs)
        self._address, self._cpus, self._gpus = address, cpus, gpus

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        with joined(self._address):
            return super().launch(job_overrides, initial_job_idx)

    def start(self, command: Sequence[str], output: Path) -> Process:
        return _OnNode(command, output, self._cpus, self._gpus)


class _Starter:
    """A Ray actor. It starts a job's process on its node and lives as long as that process."""

    def start(self, command: Sequence[str], folder: str, output: str) -> None:
        os.chdir(folder)
        self._process = start_process(command, Path(output))

    def poll(self) -> int | None:
        return self._process.poll()

    def send(self, number: int) -> None:
        self._process.send(signal.Signals(number))


class _OnNode:
    """A job's process on a node, of which this machine sees only the actor."""

    _status: int | None = None

    def __init__(self, command: Sequence[str], output: Path, cpus: float, gpus: float) -> None:
        import ray

        self._ray = ray
        self._starter = ray.remote(_Starter).options(num_cpus=cpus, num_gpus=gpus).remote()
        self._started = self._starter.start.remote(list(command), str(Path.cwd()), str(output))

    def poll(self) -> int | None:
        """When a node leaves, its processes end too: they count as killed."""
        if self._status is None and self._ray.wait([self._started], timeout=0)[0]:
            try:
                self._ray.get(self._started)
                self._status = self._ray.get(self._starter.poll.remote())
            except self._ray.exceptions.RayTaskError as error:
                raise UserError(f"a node of the cluster cannot start a job: {first_line(error.cause or error)}") from error
            except self._ray.exceptions.RayError:
                self._status = -signal.SIGKILL
            if self._status is not None:
                self._ray.kill(self._starter)
        return self._status

    def wait(self) -> int:
        while (status := self.poll()) is None:
            time.sleep(POLL_SECONDS)
        return status

    def send(self, number: signal.Signals) -> None:
        if self.poll() is not None:
            return
        if self._ray.wait([self._started], timeout=0)[0]:
            self._starter.send.remote(int(number))
        else:  # it still waits for a place
            self._ray.kill(self._starter)
            self._status = -number
