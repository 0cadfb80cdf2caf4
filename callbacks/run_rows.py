"""The rows that were logged to a W&B run, kept in the output folder, so that a resumed run continues the same W&B run.

W&B holds up to 32 kB of rows in memory, and a kill loses them. Rows that were logged between the last checkpoint and a kill
would be logged again. So every row is numbered and written to a file first.
"""

import json
import os
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from xdr.errors import ArtefactError
from xdr.storage.files import read_json, write_json
from xdr.storage.fingerprint import Json

_RUN = "wandb_run.json"

Cell = str | float | int | bool | None


class Table(NamedTuple):
    """`line` names the columns of a line chart: x, y, and the column whose values each get a line."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    line: tuple[str, str, str] | None = None


class Row(NamedTuple):
    """`number` is W&B's `_step`; `step` is the trainer's."""

    number: int
    step: int | None
    metrics: Mapping[str, float]
    tables: Mapping[str, Table]

    @property
    def place(self) -> tuple[int | None, tuple[str, ...]]:
        """Equal for rows that are logged twice, before and after a resumption."""
        return self.step, (*sorted(self.metrics), *sorted(self.tables))


class Position(NamedTuple):
    """What a checkpoint records: the run and its number of rows. `pending` are the metrics of the checkpoint's own step that
    are still to be logged; a run that resumes from the checkpoint would not log them."""

    run_id: str
    num_rows: int
    pending_step: int
    pending: Mapping[str, float]


def is_unfinished(folder: Path, job_type: str) -> bool:
    """Whether the folder has a run of this kind that may lack rows or its end in W&B."""
    saved = _read_run(folder / _RUN)
    return saved.get("job_type") == job_type and not saved.get("finished")


def _read_run(file: Path) -> Mapping[str, Json]:
    """Empty if there is none."""
    if not file.is_file():
        return {}
    remedy = "Remove it and run the command again, which may begin a new run in W&B"
    saved = read_json(file, remedy)
    if not isinstance(saved.get("id"), str):
        raise ArtefactError(f"{file} is damaged: it names no run. {remedy}")
    return saved


class RunRows:
    """`wandb_run.json` and `wandb_rows.jsonl`."""

    def __init__(self, folder: Path, job_type: str, position: Position | None) -> None:
        """Continues the folder's run, or else the checkpoint's. An evaluation that was finished is not continued."""
        self._name, self._file, self._job_type = folder / _RUN, folder / "wandb_rows.jsonl", job_type
        saved = _read_run(self._name)
        if saved.get("job_type") == job_type and (job_type == "train" or not saved.get("finished")):
            self.run_id = str(saved["id"])
        else:
            self._file.unlink(missing_ok=True)
            self.run_id = position.run_id if position else os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        self._save(finished=False)
        self.rows = self._read()
        begins = position.num_rows if position and position.run_id == self.run_id else 0
        self.number = max(begins, self.rows[-1].number + 1 if self.rows else 0)
        """The number of the next row."""
        self._last_step = max((row.step for row in self.rows if row.step is not None), default=-1)
        self._expected = Counter(row.place for row in self.rows if row.number >= begins)
        """Rows that were logged after the checkpoint and will come again."""
        if position and position.pending:
            self.add(position.pending, {}, position.pending_step)

    def position(self, step: int, metrics: Mapping[str, float]) -> Position:
        """For a checkpoint after `step`, with the metrics that are logged at this step, before or after the checkpoint."""
        place = Row(0, step, metrics, {}).place
        is_there = any(row.place == place for row in reversed(self.rows))
        num_rows = self.number - self._expected.total() + min(1, self._expected[place])
        return Position(self.run_id, num_rows, step, {} if is_there else metrics)

    def add(self, metrics: Mapping[str, float], tables: Mapping[str, Table], step: int | None) -> Row | None:
        """Writes a row and returns it, or None where the row is there already."""
        row = Row(self.number, step, metrics, tables)
        if self._expected[row.place]:
            self._expected[row.place] -= 1
            return None
        if step is not None and step < self._last_step:  # the resumed run logs at other steps
            return None
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)
        self.number += 1
        return row

    def finish(self) -> None:
        self._save(finished=True)

    def _save(self, finished: bool) -> None:
        write_json(self._name, {"id": self.run_id, "job_type": self._job_type, "finished": finished})

    def _read(self) -> list[Row]:
        """Rows up to a line that a kill cut short, or a loss of power damaged."""
        rows: list[Row] = []
        content, whole = self._file.read_bytes() if self._file.is_file() else b"", 0
        for line in content.splitlines(keepends=True):
            try:
                number, step, metrics, tables = json.loads(line)
                row = Row(number, step, metrics, {name: Table(*table) for name, table in tables.items()})
            except (ValueError, TypeError, AttributeError):
                break
            if not line.endswith(b"\n"):
                break
            rows.append(row)
            whole += len(line)
        if whole < len(content):
            os.truncate(self._file, whole)
        return rows
