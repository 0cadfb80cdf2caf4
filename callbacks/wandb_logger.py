"""The logger for Weights & Biases: the only file that imports wandb."""

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from callbacks.run_rows import Position, Row, RunRows, Table
from xdr.storage.fingerprint import Json


@dataclass(frozen=True)
class WandbRun:
    """What W&B shows of a run: the arguments of `wandb.init` with these names."""

    project: str
    group: str | None
    job_type: str
    name: str | None
    tags: Sequence[str]
    config: Mapping[str, Json]


class WandbLogger(Logger):
    """One W&B run for each output folder, however often its job is killed and resumed. The run begins with its first row."""

    def __init__(self, output_dir: Path, described: WandbRun, *, offline: bool, artifacts: bool) -> None:
        super().__init__()
        self._output_dir, self._described, self._offline, self._artifacts = output_dir, described, offline, artifacts
        self._run: Any = None
        self._rows: RunRows
        self._num_there = 0
        self._position: Position | None = None

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> None:
        return None

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's configuration holds all settings from its start."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.log(metrics, {}, step)

    @rank_zero_only
    def log(self, metrics: Mapping[str, float], tables: Mapping[str, Table], step: int | None = None) -> None:
        self._begin()
        row = self._rows.add(metrics, tables, step)
        if row is not None:
            self._send(row)

    @rank_zero_only
    def log_files(self, kind: str, paths: Sequence[Path]) -> None:
        """As an artifact, if artifacts are switched on."""
        if not self._artifacts or not paths:
            return
        import wandb

        self._begin()
        artifact = wandb.Artifact(f"{kind}-{self._rows.run_id}", kind)
        for path in paths:
            artifact.add_dir(str(path), path.name) if path.is_dir() else artifact.add_file(str(path), path.name)
        self._run.log_artifact(artifact)

    def position(self, step: int, metrics: Mapping[str, float]) -> Position:
        """What a checkpoint after this step records; `metrics` are those of the step."""
        self._begin()
        return self._rows.position(step, metrics)

    def resume_from(self, position: Position) -> None:
        assert self._run is None, "the run has already begun"
        self._position = position

    def finalize(self, status: str) -> None:
        """Ends the run in a process that a trainer has spawned."""
        if parent_process() is not None:
            self.close(failed=status != "success", finished=False)

    def close(self, *, failed: bool, finished: bool = True) -> None:
        """Ends the run, so that the next job of this process does not write into it."""
        if self._run is None:
            return
        import wandb

        run, self._run = self._run, None
        run.finish(exit_code=int(failed))
        wandb.teardown()  # writes what W&B still holds in memory
        if finished and not failed:
            self._rows.finish()
        if run.offline:
            say(f"W&B was offline: wandb sync {self._output_dir / 'wandb'}/offline-run-*-{self._rows.run_id}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None}

    def _begin(self) -> None:
        if self._run is not None:
            return
        self._rows = RunRows(self._output_dir, self._described.job_type, self._position)
        self._run = self._init()
        run_id = self._rows.run_id
        self._num_there = _num_rows_in_files(self._output_dir, run_id) if self._run.offline else self._run.starting_step
        if self._described.job_type == "train":
            self._run.define_metric("trainer/global_step")
            self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        for row in self._rows.rows:
            self._send(row)

    def _init(self) -> Any:
        import wandb

        keywords: dict[str, Any] = {
            **vars(self._described),
            "allow_val_change": True,
            "dir": str(self._output_dir),
            "id": self._rows.run_id,
            "resume": "allow",
        }
        if not self._offline:
            try:
                return wandb.init(**keywords, settings=wandb.Settings(quiet=True))
            except wandb.Error as error:
                wandb.teardown()
                say(f"W&B cannot be reached ({error}); this run is written offline")
        return wandb.init(**keywords, mode="offline", settings=wandb.Settings(silent=True))

    def _send(self, row: Row) -> None:
        """Sends the row unless W&B has it: W&B has all rows below some number."""
        if row.number < self._num_there:
            return
        import wandb

        values: dict[str, Any] = dict(row.metrics)
        for name, table in row.tables.items():
            values[name] = wandb.Table(columns=list(table.columns), data=[list(line) for line in table.rows])
            if table.line is not None:
                x, y, stroke = table.line
                values[f"{name}_chart"] = wandb.plot.line(values[name], x, y, stroke=stroke, title=name)
        if row.step is not None:
            values["trainer/global_step"] = row.step
        self._run.log(values, step=row.number, commit=True)


def log_row(logger: Logger, metrics: dict[str, float], tables: Mapping[str, Table], step: int | None = None) -> None:
    """Logs metrics, and with W&B the tables too."""
    if isinstance(logger, WandbLogger):
        logger.log(metrics, tables, step)
    elif metrics:
        logger.log_metrics(metrics, step)
        logger.save()


def log_files(logger: Logger, kind: str, paths: Sequence[Path]) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_files(kind, paths)


@rank_zero_only
def say(line: str) -> None:
    """Prints a warning that the user may act on."""
    Console().print(line, style="yellow", markup=False, soft_wrap=True)


def has_key() -> bool:
    """Whether W&B has a key; never asks for one."""
    import wandb

    return wandb.login(prompt=False, verify=False)


def _num_rows_in_files(output_dir: Path, run_id: str) -> int:
    """The number of rows that reached the disk before a kill."""
    number = 0
    for file in (output_dir / "wandb").glob(f"*-{run_id}/run-{run_id}.wandb"):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        rows = [json.loads(line)["history"] for line in lines if '"type":"history"' in line]
        number = max([number, *(int(row["item"]["_step"]) + 1 for row in rows)])
    return number
