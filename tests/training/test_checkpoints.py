from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from xdr.training.checkpoints import CheckpointFolder, WholeCheckpoints, certificate, is_whole


def save(folder: CheckpointFolder, step: int) -> Path:
    path = folder.path(step)
    WholeCheckpoints().save_checkpoint({"step": step, "weights": torch.full((100,), float(step))}, path)
    return path


def test_the_newest_whole_checkpoint_wins_over_a_broken_one(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    assert folder.newest_whole() == (None, [])
    old, truncated, uncertified = (save(folder, step) for step in (10, 20, 30))
    truncated.write_bytes(truncated.read_bytes()[:-1])
    certificate(uncertified).unlink()
    assert folder.newest_whole() == (old, [uncertified, truncated])


@pytest.mark.parametrize("way", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_not_whole(tmp_path: Path, way: str) -> None:
    path = save(CheckpointFolder(tmp_path), 1)
    content = bytearray(path.read_bytes())
    if way == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:100]), "empty": b""}[way])
    assert not is_whole(path)


def test_a_write_that_fails_leaves_the_checkpoints_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path)
    good = save(folder, 10)

    def full_disk(checkpoint: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(folder, 20)
    assert folder.newest_whole() == (good, [])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["step-00000010.ckpt", "step-00000010.json"]


def test_torch_s_own_error_on_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected_position(checkpoint: object, file: BinaryIO) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1133376 vs 1133268")

    monkeypatch.setattr(torch, "save", unexpected_position)
    with pytest.raises(RuntimeError, match="inline_container"):
        save(CheckpointFolder(tmp_path), 20)
    monkeypatch.setattr("os.statvfs", lambda path: type("Free", (), {"f_bavail": 0, "f_frsize": 4096})())
    with pytest.raises(OSError, match="No space left"):
        save(CheckpointFolder(tmp_path), 20)


def test_pruning_keeps_the_newest(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (5, 10, 15):
        save(folder, step)
    folder.prune(2)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step-00000010.ckpt", "step-00000015.ckpt"]


def test_nothing_but_tensors_and_plain_values_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"path": Path("x")}, path)
    with pytest.raises(Exception, match="[Ww]eights.only"):
        WholeCheckpoints().load_checkpoint(path)


@pytest.mark.parametrize("certificate_says", ["", "[]", '{"sha256": 7}'])
def test_a_checkpoint_whose_certificate_is_damaged_is_skipped(tmp_path: Path, certificate_says: str) -> None:
    folder = CheckpointFolder(tmp_path)
    good, damaged = save(folder, 10), save(folder, 20)
    damaged.with_suffix(".json").write_text(certificate_says)
    assert folder.newest_whole() == (good, [damaged])
