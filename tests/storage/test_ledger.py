import json
import multiprocessing
import random
import signal
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from xdr.errors import ArtefactError
from xdr.sharding.shard_module import warn_about
from xdr.storage.ledger import ShardLedger

MADE_BY = {"checkpoint": "abc", "max_length": 128}


def make(folder: Path, num_shards: int = 3) -> ShardLedger:
    ledger = ShardLedger.create(folder, "embeddings", num_shards, MADE_BY)
    for shard in ledger.missing():
        with ledger.writing(shard) as partial:
            (partial / "vectors.bin").write_bytes(bytes([shard]) * 1000)
    return ledger


def test_a_complete_ledger_gives_its_shards_back(tmp_path: Path) -> None:
    make(tmp_path)
    ledger = ShardLedger.open(tmp_path, "embeddings")
    ledger.require_complete()
    assert [ledger.file(i, "vectors.bin").read_bytes()[:2] for i in range(3)] == [b"\0\0", b"\1\1", b"\2\2"]


def test_a_shard_that_failed_is_missing_and_named(tmp_path: Path) -> None:
    ledger = make(tmp_path, 2)
    ledger = ShardLedger.create(tmp_path / "other", "embeddings", 2, MADE_BY)
    with pytest.raises(RuntimeError), ledger.writing(1) as partial:
        (partial / "vectors.bin").write_bytes(b"half")
        raise RuntimeError
    assert ledger.missing() == [0, 1]
    with pytest.raises(ArtefactError, match="lacks 2 of 2 shards: shard-00000, shard-00001"):
        ledger.require_complete()
    with pytest.raises(ArtefactError, match="shard-00001 is missing"):
        ledger.file(1, "vectors.bin")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "entry"])
def test_a_damaged_shard_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    ledger = make(tmp_path)
    file = tmp_path / "shard-00001" / "vectors.bin"
    if damage == "truncate":
        file.write_bytes(b"\1" * 999)
    elif damage == "flip":
        file.write_bytes(b"\1" * 999 + b"\2")
    elif damage == "remove":
        file.unlink()
    else:
        (tmp_path / "shard-00001" / "shard.json").write_text('{"shard": 1')
    with pytest.raises(ArtefactError, match="shard-00001"):
        ledger.file(1, "vectors.bin")
    assert ledger.file(0, "vectors.bin").is_file()


def test_a_shard_whose_entry_names_no_files_is_refused(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    entry = tmp_path / "shard-00001" / "shard.json"
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "files": {}}))
    with pytest.raises(ArtefactError, match=r"shard-00001/vectors.bin is missing. Remove .*shard-00001, and run the command"):
        ledger.file(1, "vectors.bin")
    (tmp_path / "shard-00001" / "vectors.bin").unlink()
    with pytest.raises(ArtefactError, match=r"shard-00001/vectors.bin is missing"):
        ledger.file(1, "vectors.bin")


def test_a_foreign_shard_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "ours")
    other = ShardLedger.create(tmp_path / "other", "embeddings", 3, {**MADE_BY, "checkpoint": "xyz"})
    with other.writing(2) as partial:
        (partial / "vectors.bin").write_bytes(b"foreign")
    (tmp_path / "ours" / "shard-00002" / "vectors.bin").unlink()
    (tmp_path / "ours" / "shard-00002" / "shard.json").unlink()
    (tmp_path / "ours" / "shard-00002").rmdir()
    (tmp_path / "other" / "shard-00002").rename(tmp_path / "ours" / "shard-00002")
    with pytest.raises(ArtefactError, match="shard-00002 was made from something else"):
        ShardLedger.open(tmp_path / "ours", "embeddings").file(2, "vectors.bin")


def test_a_ledger_that_was_made_from_something_else_is_refused_with_what_differs(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(ArtefactError, match="max_length was 128 and is now 256"):
        ShardLedger.create(tmp_path, "embeddings", 3, {**MADE_BY, "max_length": 256})
    with pytest.raises(ArtefactError, match="must hold queries, got embeddings"):
        ShardLedger.open(tmp_path, "queries")
    with pytest.raises(ArtefactError, match="must hold embeddings, and it has no manifest.json"):
        ShardLedger.open(tmp_path / "nowhere", "embeddings")


def _work(folder: Path, pause: float) -> None:
    ledger = ShardLedger.create(folder, "embeddings", 20, MADE_BY)
    while missing := ledger.missing():
        shard = random.choice(missing)
        with ledger.writing(shard) as partial, (partial / "vectors.bin").open("wb") as file:
            for _ in range(10):
                file.write(bytes([shard]) * 100)
                file.flush()
                time.sleep(pause)


def test_two_processes_that_are_killed_and_started_again_finish_one_ledger(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        workers = [context.Process(target=_work, args=(tmp_path, 0.003)) for _ in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(random.uniform(0.3, 0.6))
        for worker in workers:
            if worker.is_alive():
                assert worker.pid
                worker.kill()
            worker.join()
            assert worker.exitcode in (0, -signal.SIGKILL)
    workers = [context.Process(target=_work, args=(tmp_path, 0.0)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ledger = ShardLedger.create(tmp_path, "embeddings", 20, MADE_BY)
    ledger.require_complete()
    contents = [ledger.file(i, "vectors.bin").read_bytes() for i in range(20)]
    assert contents == [bytes([i]) * 1000 for i in range(20)]
    assert not list(tmp_path.glob(".*.partial")), "leftovers of killed processes are removed"


def test_shards_of_other_versions_are_told_of_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ShardLedger.create(tmp_path, "texts", 2, {})
    for shard, installed in enumerate(({"transformers": "4"}, {"transformers": "5"})):
        monkeypatch.setattr("xdr.storage.ledger.versions", lambda installed=installed: installed)
        with ledger.writing(shard) as partial:
            (partial / "a.bin").write_bytes(b"a")
    assert ledger.other_versions() == ["transformers 4"]
    assert ledger.missing() == []
    console = Console(file=StringIO(), width=300)
    warn_about(ledger, console)
    assert "has shards of transformers 4, and other versions are installed" in console.file.getvalue()  # type: ignore[attr-defined]
    monkeypatch.setattr("xdr.storage.ledger.versions", dict)
    assert ledger.other_versions() == ["transformers 4", "transformers 5"]


@pytest.mark.parametrize("instead", ["no entry", "a file", "a link to nowhere"])
def test_what_stands_in_the_place_of_a_shard_is_refused_and_not_made_again_for_ever(tmp_path: Path, instead: str) -> None:
    ledger, shard = make(tmp_path), tmp_path / "shard-00001"
    (shard / "shard.json").unlink()
    if instead != "no entry":
        (shard / "vectors.bin").unlink()
        shard.rmdir()
        shard.write_text("") if instead == "a file" else shard.symlink_to("nowhere")
    with pytest.raises(ArtefactError, match=r"shard-00001 must be a whole shard, and has no shard\.json\. Remove it"):
        ledger.missing()


@pytest.mark.parametrize(
    "described", [None, {}, {"bytes": 1000}, {"bytes": "1000", "sha256": "x"}, {"bytes": 1000, "sha256": 7}]
)
def test_an_entry_that_describes_a_file_badly_is_refused(tmp_path: Path, described: object) -> None:
    ledger, entry = make(tmp_path), tmp_path / "shard-00001" / "shard.json"
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "files": {"vectors.bin": described}}))
    with pytest.raises(ArtefactError, match=r"shard-00001/shard\.json is damaged\. Remove .*shard-00001, and run the command"):
        ledger.num_bytes()
