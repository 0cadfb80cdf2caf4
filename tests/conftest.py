import os
from collections.abc import Callable
from functools import cache
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


@pytest.fixture(scope="session")
def trained_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training. Tests only read it."""
    from tests.runs import run

    folder = tmp_path_factory.mktemp("encoder") / "run"
    run(folder, "trainer.max_epochs=1", "model.query_length=24")  # sentence-transformers has one length for both
    return folder


@pytest.fixture(scope="session")
def trained_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training, with the files of W&B. Tests only read it."""
    from tests.runs import QUICK_GENERATOR, run

    folder = tmp_path_factory.mktemp("generator") / "run"
    run(folder, "trainer.max_epochs=1", "logger=offline", quick=QUICK_GENERATOR)
    return folder


@pytest.fixture
def compose_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that were composed before in this process are those of before. They cannot be changed."""
    monkeypatch.setattr("conf.entry.compose_unchecked", lambda *arguments: _composed(*map(_hashable, arguments)))


def _hashable(argument: str | list[str] | bool) -> str | tuple[str, ...] | bool:
    return tuple(argument) if isinstance(argument, list) else argument


@cache
def _composed(name: str, overrides: tuple[str, ...], with_hydra: bool = False) -> object:
    from omegaconf import OmegaConf

    from conf.mistakes import compose_unchecked

    settings = compose_unchecked(name, list(overrides), with_hydra)
    OmegaConf.set_readonly(settings, True)
    return settings


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """A folder of real files that stands beside a developer's checkout; tests that want it are skipped elsewhere."""

    def folder(name: str) -> Path:
        if not (SHARED_DATA / name).is_dir():
            pytest.skip(f"the real files of {name} are not on this machine")
        return SHARED_DATA / name

    return folder
