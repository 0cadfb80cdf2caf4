"""Damage is seeded, and changes something."""

import random
from pathlib import Path

from tests.faults.mutations import mutate


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
