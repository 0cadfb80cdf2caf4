"""What an offline run of W&B left on disk. W&B has no reader in Python. This one judges
callbacks/wandb_parts.py, and shares nothing with it."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
HEADER = struct.Struct("<IHB")  # checksum, length, kind: whole, first, middle, last


@dataclass
class Written:
    """Of all processes that wrote to one run, in their order."""

    run_id: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)


def read_runs(folder: Path) -> dict[str, Written]:
    """By id, from an output folder."""
    runs: dict[str, Written] = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        run_id = file.stem.removeprefix("run-")
        _read(file, runs.setdefault(run_id, Written(run_id)))
    return runs


def read_run(folder: Path) -> Written:
    (run,) = read_runs(folder).values()
    return run


def _read(file: Path, run: Written) -> None:
    for record in _records(file.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            its = record.run
            assert its.run_id == run.run_id
            run.group, run.job_type, run.name, run.tags = its.run_group, its.job_type, its.display_name, tuple(its.tags)
            run.config |= {item.key: json.loads(item.value_json) for item in its.config.update}
        elif kind == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                *outer, last = item.nested_key or [item.key]
                within = row
                for name in outer:
                    within = within.setdefault(name, {})
                within[last] = json.loads(item.value_json)
            run.rows.append(row)
            for name, value in row.items():
                if isinstance(value, dict) and value.get("_type") == "table-file":
                    table = json.loads((file.parent / "files" / value["path"]).read_text(encoding="utf-8"))
                    run.tables[name] = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
        elif kind == "artifact":
            run.artifacts[record.artifact.name] = [entry.path for entry in record.artifact.manifest.contents]
        elif kind == "exit":
            run.exit_codes.append(record.exit.exit_code)


def _records(data: bytes) -> Iterator[Record]:
    """LevelDB's log: blocks of 32 kB after a header of seven bytes; a record is cut where a block ends."""
    place, parts = 7, b""
    while place + HEADER.size <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            place += left
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        part = data[place + HEADER.size : place + HEADER.size + length]
        if len(part) < length or kind == 0:
            return  # as far as the writer came
        place += HEADER.size + length
        parts = part if kind in (1, 2) else parts + part
        if kind in (1, 4):
            yield Record.FromString(parts)
