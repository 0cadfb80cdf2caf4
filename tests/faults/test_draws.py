"""Draws of damaged files and of odd settings: a stage does its work, or refuses in one sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import ROOT, WORK_HERE, start_script


@pytest.mark.skipif(not WORK_HERE, reason="needs forks, which are used on Linux without an NVIDIA card")
@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["harness.py", "--each", "1", "--quick"], r"^\| all \|.*\| 0 \|$"),
        (["odd_settings.py", "--each", "6", "--stages", "prepare", "teach"], r"^\| teach \|"),
    ],
)
def test_a_small_draw_finds_nothing(command: list[str], printed: str, tmp_path: Path) -> None:
    """Of stages that need no others."""
    script, *options = command
    process = start_script([str(ROOT / "tests" / "faults" / script), *options], tmp_path, {"OMP_NUM_THREADS": "1"})
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    assert re.search(printed, output, re.MULTILINE), output


@pytest.mark.slow
@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("command", [["harness", "--each", "200"], ["odd_settings", "--each", "100"]])
def test_a_large_draw_finds_nothing(command: list[str]) -> None:
    module, *options = command
    words = [sys.executable, "-m", f"tests.faults.{module}", *options]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
