"""Work that cannot fit on the disk is refused before it starts."""

import shutil
from pathlib import Path

from xdr.errors import UserError


def require_room(folder: Path, num_bytes: float, what: str, setting: str = "artifacts_dir") -> None:
    """`folder` is there; `num_bytes` are still to be written. `setting` chooses the disk."""
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise UserError(
            f"{what} take {shown_bytes(num_bytes)}, and {shown_bytes(free)} are free at {folder}. Make room, or set "
            f"{setting} to a larger disk"
        )


def shown_bytes(number: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} kB" if number >= 1e4 else f"{number:,.0f} bytes"
