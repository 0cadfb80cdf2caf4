"""benchmarks/gpu.py, small and without a card."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.folder_parts import join, split
from benchmarks.gpu_parts import PARTS
from tests.documented_commands import ROOT

SPEEDS = ("at least 2", "at least 3", "at least 1.3", "at least 5", "at most 1.2")
"""What is wanted of a card; a CPU with small models need not reach it."""
QUICK = ("search", "chunks")


def measured(folder: Path, *arguments: str) -> dict[str, dict[str, object]]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(folder), "--device", "cpu", "--tiny"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (folder / "gpu.md").read_text().count("###") == len(json.loads((folder / "gpu.json").read_text())["parts"])
    return {part["part"]: part for part in json.loads((folder / "gpu.json").read_text())["parts"]}


def require_right(part: dict[str, object]) -> None:
    assert part["status"] == "done", part["problem"]
    figures = part["figures"]
    assert isinstance(figures, list) and figures
    assert not [figure for figure in figures if figure["holds"] is False and figure["wanted"] not in SPEEDS], figures


def test_quick_parts_are_right_on_a_cpu(tmp_path: Path) -> None:
    parts = measured(tmp_path, "--only", *QUICK)
    assert list(parts) == list(QUICK)
    for part in parts.values():
        require_right(part)
    assert "| baseline: rankings equal to the CPU's | 20 of 20 | all | yes |" in (tmp_path / "gpu.md").read_text()


def test_a_part_for_which_no_time_is_left_says_so(tmp_path: Path) -> None:
    parts = measured(tmp_path, "--only", "search", "chunks", "--budget", "0.5")
    assert [part["problem"] for part in parts.values()] == ["no time was left"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [part.name for part in PARTS if part.name not in QUICK])
def test_each_other_part_is_right_on_a_cpu(name: str, tmp_path: Path) -> None:
    part = measured(tmp_path, "--only", name)[name]
    if part["status"] == "left out":
        pytest.skip(f"the part {name} {part['problem']}")
    require_right(part)


def test_a_folder_survives_being_split(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    (whole / "inner").mkdir(parents=True)
    (whole / "inner" / "weights").write_bytes(bytes(range(256)) * 10_000)
    (whole / "empty").touch()
    split(whole, tmp_path / "parts", 1)
    assert len(list((tmp_path / "parts").glob("part-*"))) == 3
    join(tmp_path / "parts", tmp_path / "again")
    for path in whole.rglob("*"):
        assert path.is_dir() or (tmp_path / "again" / path.relative_to(whole)).read_bytes() == path.read_bytes()
    (tmp_path / "parts" / "part-001").unlink()
    with pytest.raises(SystemExit, match="a part is missing: inner/weights lacks"):
        join(tmp_path / "parts", tmp_path / "less")
