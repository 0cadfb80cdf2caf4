"""The files that W&B keeps of a run, a folder for each start: `run-TIME-ID`, or `offline-run-TIME-ID` if it was offline."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

_BLOCK, _FILE_HEADER, _RECORD_HEADER = 32768, 7, struct.Struct("<IHB")  # checksum, length, kind
_WHOLE, _LAST = 1, 4


def num_rows(output_dir: Path, run_id: str, *, online_only: bool = False) -> int:
    """The number of rows that reached the disk before a kill."""
    number = 0
    for file in _files(output_dir, "run" if online_only else "*run", run_id):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        rows = [json.loads(line)["history"] for line in lines if '"type":"history"' in line]
        number = max([number, *(int(row["item"]["_step"]) + 1 for row in rows)])
    return number


def cut_off_broken_ends(output_dir: Path, run_id: str) -> None:
    """W&B writes in blocks, and a kill leaves a part of a record at the end of its file. `wandb sync` would stop there, and
    leave out all later starts of the run."""
    for file in _files(output_dir, "offline-run", run_id):
        whole = _end_of_whole_records(file.read_bytes())
        if whole == 0:
            file.unlink()
        elif whole < file.stat().st_size:
            os.truncate(file, whole)


def _files(output_dir: Path, kind: str, run_id: str) -> list[Path]:
    return sorted((output_dir / "wandb").glob(f"{kind}-*-{run_id}/run-{run_id}.wandb"))


def _end_of_whole_records(data: bytes) -> int:
    """LevelDB's log: a record is cut where a block ends. 0 if there is no whole record."""
    place, whole = _FILE_HEADER, 0
    while place + _RECORD_HEADER.size <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _RECORD_HEADER.size:
            place += left
            continue
        _, length, kind = _RECORD_HEADER.unpack_from(data, place)
        place += _RECORD_HEADER.size + length
        if kind == 0 or place > len(data):
            break
        if kind in (_WHOLE, _LAST):
            whole = place
    return whole
