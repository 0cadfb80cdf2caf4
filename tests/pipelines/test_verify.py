"""stage=verify on whole artifacts, and with one byte of each kind changed."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.runs import run
from xdr.benchmarks.sample import Sample
from xdr.data.collection import open_collection
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import ArtefactError
from xdr.pipelines.verify import verify
from xdr.storage.ledger import ShardLedger
from xdr.writing.generated_source import import_generated


@pytest.fixture(scope="module")
def passages(tmp_path_factory: pytest.TempPathFactory) -> PassageStore:
    return open_collection(Sample(), tmp_path_factory.mktemp("whole"), Problems())


@pytest.fixture
def artifacts(passages: PassageStore, tmp_path: Path) -> Path:
    """A collection, imported texts, and the first of two shards of vectors."""
    folder = tmp_path / "artifacts"
    open_collection(Sample(), folder, Problems())
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"docid": passages[0].passage_id, "generated_queries": {"fi": ["mitä"]}}) + "\n")
    import_generated([texts], passages, folder, lambda number: None)
    ledger = ShardLedger.create(folder / "embeddings" / "of-e5", "embeddings", 2, {"encoder": "e5"})
    with ledger.writing(0) as partial:
        (partial / "passages.npy").write_bytes(b"vectors")
    return folder


def verified(folder: Path) -> tuple[str, str]:
    """What is printed, and the error."""
    console, error = Console(file=StringIO(), width=200), ""
    try:
        verify(SimpleNamespace(artifacts_dir=folder, console=console))  # type: ignore[arg-type]  # all that it uses
    except ArtefactError as raised:
        error = str(raised)
    return console.file.getvalue(), error  # type: ignore[attr-defined]  # a StringIO


def test_whole_artifacts_pass_and_are_counted(artifacts: Path) -> None:
    printed, error = verified(artifacts)
    assert error == ""
    rows = [line.replace("│", " ").split() for line in printed.splitlines() if "│" in line]
    assert rows == [["collections", "1", "1", "0"], ["embeddings", "1", "1", "0"], ["generated", "texts", "1", "1", "0"]]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


ENTRY = "embeddings/*/*/shard.json"
FILES = [
    "collections/*/passages.arrow",
    "collections/*/id_rows.npy",
    "collections/*/id_hashes.npy",
    "embeddings/*/*/passages.npy",
    "generated/*/*/texts.*",
    "embeddings/*/manifest.json",
    ENTRY,
]


@pytest.mark.parametrize("change", [flip, Path.unlink, lambda path: path.write_bytes(b"{}")])
@pytest.mark.parametrize("pattern", FILES)
def test_any_change_is_found_and_the_rest_is_still_read(artifacts: Path, pattern: str, change: Callable[[Path], None]) -> None:
    if pattern in (ENTRY, "embeddings/*/manifest.json") and change == Path.unlink:
        pytest.skip("what has no entry or no manifest does not exist yet")
    (file,) = artifacts.glob(pattern)
    change(file)
    printed, error = verified(artifacts)
    assert error.endswith("are damaged: see above"), printed
    (sentence,) = [line for line in printed.splitlines() if "Remove " in line]
    assert str(artifacts / file.relative_to(artifacts).parts[0]) in sentence


def test_a_folder_without_artifacts_is_refused(tmp_path: Path) -> None:
    assert "must hold what xdr made" in verified(tmp_path)[1]


def test_the_command_needs_no_data(artifacts: Path) -> None:
    folder = artifacts.parent / "run"
    assert "collections" in run(folder, "stage=verify", f"artifacts_dir={artifacts}", quick=[], script="evaluate.py")
