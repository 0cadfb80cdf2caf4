"""What xdr wrote is damaged, and read again."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.mutations import mutate
from tests.forks import ROOT, WORK_HERE, start_script


def test_a_mutation_is_a_function_of_its_seed_and_changes_something(tmp_path: Path) -> None:
    said = set()
    for seed in range(200):
        contents = []
        for name in ("one", "two"):
            folder = tmp_path / f"{seed}-{name}"
            (folder / "inner").mkdir(parents=True)
            (folder / "a.json").write_text('{"x": [1, "two", {"y": null}]}')
            (folder / "inner" / "b.bin").write_bytes(bytes(range(200)))
            before = described(folder)
            said.add((done := mutate(random.Random(seed), [folder])).split(":")[0])
            contents.append((done.replace(folder.name, ""), described(folder) if folder.exists() else {}))
            assert contents[-1][1] != before, done
        assert contents[0] == contents[1]
    assert len(said) >= 11


def described(folder: Path) -> dict[str, bytes | str]:
    def of(path: Path) -> bytes | str:
        return f"to {path.readlink().name}" if path.is_symlink() else "folder" if path.is_dir() else path.read_bytes()

    return {str(path.relative_to(folder)): of(path) for path in folder.rglob("*")}


@pytest.mark.skipif(not WORK_HERE, reason="needs forks, which are used on Linux without an NVIDIA card")
def test_a_few_mutations_of_each_kind_are_refused_or_rebuilt_or_change_nothing(tmp_path: Path) -> None:
    """Of stages that need no others. `python -m tests.faults.harness` draws more, of all."""
    command = [str(ROOT / "tests" / "faults" / "harness.py"), "--each", "1", "--quick"]
    process = start_script(command, tmp_path, {"OMP_NUM_THREADS": "1"})
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    assert re.search(r"^\| all \|.*\| 0 \|$", output, re.MULTILINE), output


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_two_hundred_mutations_of_each_kind_are_refused_or_rebuilt_or_change_nothing() -> None:
    command = [sys.executable, "-m", "tests.faults.harness", "--each", "200"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
