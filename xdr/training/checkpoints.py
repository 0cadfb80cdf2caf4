"""Checkpoint files that are either complete or absent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from xdr.errors import ArtefactError
from xdr.storage.files import read_json, remove_leftovers, replacing_file, write_json
from xdr.storage.fingerprint import checksum_file


class WholeCheckpoints(TorchCheckpointIO):
    """Writes to a temporary file, renames it, then writes a checksum beside it. Loads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        certificate(path).unlink(missing_ok=True)
        with replacing_file(path) as partial, partial.open("wb") as file:  # torch's own file would not tell why a write failed
            torch.save(checkpoint, file)
        write_json(certificate(path), {"sha256": checksum_file(path)})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        super().remove_checkpoint(path)
        certificate(Path(path)).unlink(missing_ok=True)


def certificate(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".json")


def is_whole(checkpoint: Path) -> bool:
    """Whether the file has the checksum that was written after it."""
    checksum = certificate(checkpoint)
    if not checkpoint.is_file() or not checksum.is_file():
        return False
    try:
        return read_json(checksum).get("sha256") == checksum_file(checkpoint)
    except ArtefactError:
        return False


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """`step-00000120.ckpt` ..., and `best.ckpt`."""

    folder: Path

    @property
    def best(self) -> Path:
        return self.folder / "best.ckpt"

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.ckpt"

    def newest_whole(self) -> tuple[Path | None, list[Path]]:
        """Returns the newest whole checkpoint, and the damaged ones that are newer."""
        damaged: list[Path] = []
        remove_leftovers(self.folder)
        for path in sorted(self.folder.glob("step-*.ckpt"), reverse=True):
            if is_whole(path):
                return path, damaged
            damaged.append(path)
        return None, damaged

    def prune(self, keep: int) -> None:
        """Removes all but the newest `keep`."""
        for path in sorted(self.folder.glob("step-*.ckpt"), reverse=True)[keep:]:
            path.unlink(missing_ok=True)
            certificate(path).unlink(missing_ok=True)
