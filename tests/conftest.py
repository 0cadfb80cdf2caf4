import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "disabled"

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes a file of the test's own folder and returns its path."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """A folder of real files that stands beside a developer's checkout; tests that want it are skipped elsewhere."""

    def folder(name: str) -> Path:
        if not (SHARED_DATA / name).is_dir():
            pytest.skip(f"the real files of {name} are not on this machine")
        return SHARED_DATA / name

    return folder
