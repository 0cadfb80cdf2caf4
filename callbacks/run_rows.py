"""What was logged to a W&B run, in the output folder: by this a resumed run goes on in the same one.

W&B keeps up to 32 kB of rows in memory before they reach the disk, and a kill loses them; and what was logged between the last
checkpoint and a kill would be logged again. So every row is numbered and written here first.
"""

import json
import os
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from xdr.storage.files import read_json, write_json

Cell = str | float | int | bool | None


class Table(NamedTuple):
    """`line` names the columns of a chart: across, up, and one line a value of the third."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    line: tuple[str, str, str] | None = None


class Row(NamedTuple):
    """`number` is W&B's `_step`, `step` the trainer's."""

    number: int
    step: int | None
    metrics: Mapping[str, float]
    tables: Mapping[str, Table]

    @property
    def place(self) -> tuple[int | None, tuple[str, ...]]:
        """Where it stands in a run that is done again."""
        return self.step, (*sorted(self.metrics), *sorted(self.tables))


class Position(NamedTuple):
    """What a checkpoint remembers: the run, and how many rows it had. The row of a checkpoint's own step is logged after it was
    written, and not again by who goes on from there: `pending` is its metrics."""

    run_id: str
    num_rows: int
    pending_step: int
    pending: Mapping[str, float]


class RunRows:
    """`wandb_run.json` and `wandb_rows.jsonl`."""

    def __init__(self, folder: Path, job_type: str, position: Position | None) -> None:
        """Goes on with the folder's run, or else with the checkpoint's. An evaluation that came to its end is over."""
        self._name, self._file, self._job_type = folder / "wandb_run.json", folder / "wandb_rows.jsonl", job_type
        was = read_json(self._name) if self._name.is_file() else {}
        goes_on = was.get("job_type") == job_type and (job_type == "train" or not was.get("finished"))
        if goes_on:
            self.run_id = str(was["id"])
        else:
            self._file.unlink(missing_ok=True)
            self.run_id = position.run_id if position else os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        self._save(finished=False)
        self.rows = self._read()
        begins = position.num_rows if position and position.run_id == self.run_id else 0
        self.number = max(begins, self.rows[-1].number + 1 if self.rows else 0)
        """Of the next row."""
        self._last_step = max((row.step for row in self.rows if row.step is not None), default=-1)
        self._again = Counter(row.place for row in self.rows if row.number >= begins)
        """Rows that will come again, for they were logged after the checkpoint."""
        if position and position.pending:
            self.add(position.pending, {}, position.pending_step)

    def add(self, metrics: Mapping[str, float], tables: Mapping[str, Table], step: int | None) -> Row | None:
        """None for what is there already."""
        row = Row(self.number, step, metrics, tables)
        if self._again[row.place]:
            self._again[row.place] -= 1
            return None
        if step is not None and step < self._last_step:  # of a run that now logs at other steps
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
        """Up to a line that a kill broke off."""
        rows: list[Row] = []
        text = self._file.read_text(encoding="utf-8") if self._file.is_file() else ""
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                with self._file.open("r+b") as file:
                    file.truncate(len(text.encode()) - len(line.encode()))
                break
            number, step, metrics, tables = json.loads(line)
            rows.append(Row(number, step, metrics, {name: Table(*table) for name, table in tables.items()}))
        return rows
