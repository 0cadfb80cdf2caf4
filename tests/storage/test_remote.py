"""Artifacts in a store of objects. Two mirrors of it stand for two machines."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from tests.vectors.test_embeddings import MADE_BY, store_of
from xdr.data.passage_store import PassageStore, convert_passages
from xdr.errors import ArtefactError, UserError
from xdr.storage.ledger import ShardLedger
from xdr.storage.remote import Remote, address_of, fetched, in_mirror, mirror_of
from xdr.text.records import Passage
from xdr.vectors.embedding_writer import create_embeddings, writing_shard
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.layout import Layout


@pytest.fixture
def address() -> Iterator[str]:
    """Of a store in the memory of this process."""
    yield "memory://bucket/artifacts"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def here(address: str, tmp_path: Path) -> Path:
    return mirror_of(address, tmp_path / "here")


@pytest.fixture
def there(address: str, tmp_path: Path) -> Path:
    return mirror_of(address, tmp_path / "there")


def objects() -> list[str]:
    return sorted(fsspec.filesystem("memory").find("/bucket"))


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}


def ledger_in(mirror: Path, num_shards: int = 2) -> ShardLedger:
    return ShardLedger.create(mirror / "texts" / "f1", "texts", num_shards, {"model": "abc"})


def write(ledger: ShardLedger, shard: int, content: bytes) -> None:
    with ledger.writing(shard) as partial:
        (partial / "a.bin").write_bytes(content)
        (partial / "b.bin").write_bytes(content * 2)


def test_what_one_machine_made_another_reads(here: Path, there: Path) -> None:
    write(ledger_in(here), 0, b"zero")
    write(ledger_in(here), 1, b"one")
    ledger = ShardLedger.open(there / "texts" / "f1", "texts")
    assert ledger.missing() == []
    assert ledger.file(1, "b.bin").read_bytes() == b"oneone"
    assert files_in(there) - {"remote.json"} == {
        "texts/f1/manifest.json",
        *(f"texts/f1/shard-00001/{name}" for name in ("b.bin", "shard.json")),
    }, "nothing else was fetched"
    assert ledger.num_bytes() == 3 * 4 + 3 * 3


def test_a_shard_without_its_entry_is_missing(here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill while it was put."""
    put = Remote.put

    def die_at_the_entry(self: Remote, source: Path, path: Path, suffix: str = "") -> None:
        if path.name == "shard.json":
            raise KeyboardInterrupt
        put(self, source, path, suffix)

    monkeypatch.setattr(Remote, "put", die_at_the_entry)
    with pytest.raises(KeyboardInterrupt):
        write(ledger_in(here), 0, b"zero")
    assert [name for name in objects() if "shard-00000/a.bin" in name]
    monkeypatch.undo()
    assert ledger_in(here).missing() == ledger_in(there).missing() == [0, 1]
    write(ledger_in(there), 0, b"zero")
    assert ledger_in(here).missing() == [1]
    assert ledger_in(here).file(0, "a.bin").read_bytes() == b"zero"


def test_of_two_machines_that_make_a_shard_the_first_one_counts(here: Path, there: Path) -> None:
    """Other hardware may round otherwise."""
    slow, quick = ledger_in(here), ledger_in(there)
    with slow.writing(0) as partial:
        (partial / "a.bin").write_bytes(b"slow")
        write(quick, 0, b"quick")
    for ledger in (slow, quick, ledger_in(here)):
        assert ledger.file(0, "a.bin").read_bytes() == b"quick"


def test_files_of_two_machines_that_put_a_shard_at_once_do_not_mix(
    here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = ledger_in(here), ledger_in(there)
    monkeypatch.setattr(ShardLedger, "_is_there", lambda ledger, shard: False)
    with slow.writing(0) as partial:
        (partial / "a.bin").write_bytes(b"slow")
        write(quick, 0, b"quick")
    monkeypatch.undo()
    assert ledger_in(mirror_of("memory://bucket/artifacts", here.parent / "third")).file(0, "a.bin").read_bytes() == b"slow"
    assert quick.file(0, "a.bin").read_bytes() == b"quick"


def test_a_damaged_object_is_refused_by_name(here: Path, there: Path) -> None:
    write(ledger_in(here), 0, b"zero")
    (name,) = (name for name in objects() if "shard-00000/a.bin" in name)
    fsspec.filesystem("memory").pipe(name, b"zer0")
    both = f"Remove {there}/texts/f1/shard-00000 and memory://bucket/artifacts/texts/f1/shard-00000, and run the command"
    with pytest.raises(ArtefactError, match=f"shard-00000/a.bin is damaged: .*{both}"):
        ledger_in(there).file(0, "a.bin")
    fsspec.filesystem("memory").rm(name)
    (there / "texts/f1/shard-00000/a.bin").unlink()
    with pytest.raises(ArtefactError, match=rf"^memory://bucket/artifacts/texts/f1/shard-00000/a.bin\.\w+ is missing. {both}"):
        ledger_in(there).file(0, "a.bin")


def test_a_search_fetches_only_the_vectors_that_it_reads(here: Path, there: Path) -> None:
    vectors_ND = np.arange(12, dtype=np.float32).reshape(6, 2)
    sums_GND, counts_GN = vectors_ND[None], np.ones((1, 6), int)
    made = store_of(here / "embeddings" / "f1", vectors_ND, sums_GND=sums_GND, counts_GN=counts_GN, num_shards=3)
    store = EmbeddingStore.open(there / "embeddings" / "f1")
    assert (len(store), store.num_rows([2])) == (len(made), 2)
    (block,) = store.blocks(10, shards=[1])
    assert np.array_equal(block.passages(), vectors_ND[2:4])
    assert store.ids(np.array([5])) == ["p005"]
    fetched_files = {name for name in files_in(there) if name.endswith((".npy", ".arrow"))}
    assert fetched_files == {"embeddings/f1/shard-00001/passages.npy", "embeddings/f1/shard-00002/ids.arrow"}


def test_emptied_texts_are_known_on_every_machine(here: Path, there: Path) -> None:
    ledger = create_embeddings(here / "embeddings" / "f1", 2, Layout(2), MADE_BY)
    with writing_shard(ledger, 1, ["a", "b"], emptied=["b"]) as writer:
        writer.put(slice(None), np.ones((2, 2)))
    assert ShardLedger.open(there / "embeddings" / "f1", "embeddings").emptied() == ["b"]


def test_a_collection_is_converted_once(here: Path, there: Path) -> None:
    passages = [Passage("a", "", "A text.", "en"), Passage("b", "", "Another.", "en")]
    convert_passages(passages, here / "collections" / "f1", {"sources": "x"})
    store = convert_passages(iter(()), there / "collections" / "f1", {"sources": "x"})
    assert list(store) == passages == list(PassageStore(there / "collections" / "f1"))


def test_hidden_files_stay_on_their_machine(here: Path) -> None:
    """Locks, answers of servers, and what a plan measures."""
    before = objects()
    write(ShardLedger.create(here / ".scratch" / "f1", "texts", 1, {}), 0, b"zero")
    assert objects() == before
    assert not fetched(here / "texts" / ".lock")


def test_a_mirror_may_be_hidden(address: str, tmp_path: Path) -> None:
    write(ledger_in(mirror_of(address, tmp_path / ".mirror")), 0, b"zero")
    assert any("shard-00000" in name for name in objects())


def test_an_artifact_has_an_address(here: Path, there: Path, tmp_path: Path) -> None:
    address = address_of(here / "texts" / "f1")
    assert address == "memory://bucket/artifacts/texts/f1"
    assert in_mirror(address, there) == there / "texts" / "f1"
    assert in_mirror("memory://elsewhere/texts/f1", there) is None
    assert in_mirror(address, tmp_path) is None
    assert address_of(tmp_path / "texts") == str(tmp_path / "texts")


def test_a_mirror_has_one_address(here: Path, address: str, tmp_path: Path) -> None:
    assert mirror_of(address + "/", here) == here
    with pytest.raises(
        UserError, match=r"artifacts_mirror must be another folder: .* is the mirror of memory://bucket/artifacts, not of"
    ):
        mirror_of("memory://bucket/others", here)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match="artifacts_mirror must be new"):
        mirror_of(address, tmp_path / "full")


def test_a_folder_may_be_written_as_an_address(tmp_path: Path) -> None:
    assert mirror_of(f"file://{tmp_path}", tmp_path / "mirror") == mirror_of(str(tmp_path), tmp_path / "mirror") == tmp_path
    assert not (tmp_path / "mirror").exists()


def test_an_unknown_store_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere://bucket cannot be used: ValueError"):
        mirror_of("nowhere://bucket", tmp_path / "mirror")
