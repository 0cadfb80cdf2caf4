from pathlib import Path

import pytest
from callbacks.build import build_callbacks, build_logger
from lightning.pytorch.loggers import CSVLogger

from callbacks.run_rows import Table
from callbacks.wandb_logger import Labels, log_row
from xdr.errors import UserError

LABELS = Labels("xdr", None, "train", None, [], artifacts=False)


def test_figures_go_to_a_csv_file_of_the_run(tmp_path: Path) -> None:
    logger = build_logger("csv", tmp_path, LABELS, {})
    log_row(logger, {"loss": 0.5}, {"words": Table(["language"], [["fi"]])}, 3)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["loss,step", "0.5,3"]


def test_a_logger_that_is_not_installed_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr("callbacks.build.TensorBoardLogger", missing)
    with pytest.raises(UserError, match="pip install 'xdr.tensorboard.'"):
        build_logger("tensorboard", tmp_path, LABELS, {})


def test_the_progress_bar_is_there_where_it_is_asked_for(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    names = [[type(c).__name__ for c in build_callbacks(tmp_path, 0, 10, 2, None, False, bar, logger)] for bar in (True, False)]
    assert names == [["ReseedEachStep", "KeepCheckpoints", "RichProgressBar"], ["ReseedEachStep", "KeepCheckpoints"]]
