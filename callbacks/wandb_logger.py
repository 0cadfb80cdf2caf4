"""The logger for Weights & Biases: the only file that imports wandb."""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from callbacks.run_rows import Position, Row, RunRows, Table, is_unfinished
from callbacks.wandb_parts import cut_off_broken_ends, num_rows
from xdr.storage.fingerprint import Json

FINISH_TIMEOUT, FINISH_TIMEOUT_WITH_ARTIFACTS = 300, 3600
"""Seconds that the end of a run waits for W&B. Artifacts may be large."""


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
        try:
            self._run.log_artifact(artifact)
        except wandb.Error as error:
            say(f"W&B cannot be reached ({error}); left out there: {artifact.name}")

    def position(self, step: int, metrics: Mapping[str, float]) -> Position:
        """What a checkpoint after this step records; `metrics` are those of the step."""
        self._begin()
        return self._rows.position(step, metrics)

    def resume_from(self, position: Position) -> None:
        assert self._run is None, "the run has already begun"
        self._position = position

    def finalize(self, status: str) -> None:
        """Ends the run in a process that a trainer has spawned. After a training, the other process has no rows to add."""
        if parent_process() is not None:
            self.close(failed=status != "success", finished=self._described.job_type == "train")

    def close(self, *, failed: bool, finished: bool = True) -> None:
        """Ends the run, so that the next job of this process does not write into it."""
        if finished and not failed:
            self._send_rest()
        if self._run is None:
            return
        import wandb

        run, self._run = self._run, None
        sent = not self._was_online
        try:
            run.finish(exit_code=int(failed))
        except TimeoutError:
            sent = False
        wandb.teardown()  # writes what W&B still holds in memory
        if not sent:
            say("W&B does not have all of this run; the same command sends the rest when W&B can be reached")
        elif run.offline:
            cut_off_broken_ends(self._output_dir, self._rows.run_id)
            say(f"W&B was offline: wandb sync {self._output_dir / 'wandb'}/offline-run-*-{self._rows.run_id}")
        if sent and finished and not failed:
            self._rows.finish()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None}

    @rank_zero_only
    def _send_rest(self) -> None:
        """Of a run whose work is done, and which W&B did not take to its end."""
        if is_unfinished(self._output_dir, self._described.job_type):
            self._begin()

    def _begin(self) -> None:
        if self._run is not None:
            return
        self._rows = RunRows(self._output_dir, self._described.job_type, self._position)
        self._run = self._init()
        run_id = self._rows.run_id
        self._num_there = num_rows(self._output_dir, run_id) if self._run.offline else self._run.starting_step
        self._was_online = self._run.offline and num_rows(self._output_dir, run_id, online_only=True) > 0
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
                return wandb.init(**keywords, settings={"quiet": True, "finish_timeout_raises": True, **self._patience()})
            except wandb.Error as error:
                wandb.teardown()
                say(f"W&B cannot be reached ({error}); this run is written offline")
        return wandb.init(**keywords, mode="offline", settings=wandb.Settings(silent=True))

    def _patience(self) -> dict[str, float]:
        """W&B's own default is to try for seven days."""
        if "WANDB_FINISH_TIMEOUT" in os.environ:
            return {}
        return {"finish_timeout": FINISH_TIMEOUT_WITH_ARTIFACTS if self._artifacts else FINISH_TIMEOUT}

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
        try:
            self._run.log(values, step=row.number, commit=True)
        except wandb.Error as error:  # W&B asks its server about each table
            say(f"W&B cannot be reached ({error}); left out there: {', '.join(row.tables)}")
            values = {name: value for name, value in values.items() if name in row.metrics or name == "trainer/global_step"}
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
