from pathlib import Path

import pytest

from callbacks.build import build_callbacks, build_logger
from xdr.errors import UserError


def test_figures_go_to_a_csv_file_of_the_run(tmp_path: Path) -> None:
    logger = build_logger("csv", tmp_path)
    logger.log_metrics({"loss": 0.5}, step=3)
    logger.save()
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["loss,step", "0.5,3"]


def test_a_logger_that_is_not_installed_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr("callbacks.build.TensorBoardLogger", missing)
    with pytest.raises(UserError, match="pip install 'xdr.tensorboard.'"):
        build_logger("tensorboard", tmp_path)


def test_the_progress_bar_is_there_where_it_is_asked_for(tmp_path: Path) -> None:
    names = [[type(c).__name__ for c in build_callbacks(tmp_path, 0, 10, 2, None, False, bar)] for bar in (True, False)]
    assert names == [["ReseedEachStep", "KeepCheckpoints", "RichProgressBar"], ["ReseedEachStep", "KeepCheckpoints"]]
