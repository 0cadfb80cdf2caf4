from pathlib import Path

import pytest

from tests.runs import run


@pytest.fixture(scope="session")
def trained_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "run"
    run(folder, "trainer.max_epochs=1", "model.query_length=24")  # sentence-transformers has one length for both
    return folder
