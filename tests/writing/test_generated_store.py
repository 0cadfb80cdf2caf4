"""Generated texts on disk, and from and to the published format."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.data.passage_store import PassageStore, convert_passages
from xdr.errors import ArtefactError, DataError
from xdr.storage.ledger import ShardLedger
from xdr.text.records import GeneratedTexts, Passage
from xdr.writing.generated_source import export_generated, open_generated
from xdr.writing.generated_store import KIND, GeneratedStore, write_texts

TEXTS = [
    GeneratedTexts(str(row), {"fi": tuple(f"mikä {row}.{i}?" for i in range(row % 3)), "ru": ("где?",)}) for row in range(5)
]


@pytest.fixture
def passages(tmp_path: Path) -> PassageStore:
    return convert_passages([Passage(str(row), "", f"text {row}") for row in range(5)], tmp_path / "store", {"from": "test"})


@pytest.fixture
def written(tmp_path: Path, passages: PassageStore) -> Path:
    made_by = {"languages": ["fi", "ru"], "shard_size": 2, "num_sources": 5, "sources": passages.fingerprint}
    ledger = ShardLedger.create(tmp_path / "generated", KIND, 3, made_by)
    for shard in range(3):
        with ledger.writing(shard) as folder:
            write_texts(TEXTS[2 * shard : 2 * shard + 2], ["fi", "ru"], folder)
    return tmp_path / "generated"


def test_texts_come_back_in_order_with_their_true_number(written: Path) -> None:
    store = GeneratedStore(written)
    assert list(store) == TEXTS
    assert list(store.slice(1, 4)) == TEXTS[1:4]
    assert [len(text.texts["fi"]) for text in store] == [0, 1, 2, 0, 1]


def test_a_shard_that_is_missing_or_damaged_or_anothers_is_refused(written: Path, tmp_path: Path) -> None:
    shard = written / "shard-00001"
    shard.rename(tmp_path / "aside")
    with pytest.raises(ArtefactError, match="lacks 1 of 3 shards: shard-00001"):
        GeneratedStore(written)
    (tmp_path / "aside").rename(shard)
    damaged = (shard / "texts.arrow").read_bytes()
    (shard / "texts.arrow").write_bytes(damaged[:-1] + bytes([damaged[-1] ^ 1]))
    with pytest.raises(ArtefactError, match="is damaged"):
        list(GeneratedStore(written))
    entry = json.loads((shard / "shard.json").read_text())
    (shard / "shard.json").write_text(json.dumps({**entry, "fingerprint": "another"}))
    with pytest.raises(ArtefactError, match="was made from something else"):
        list(GeneratedStore(written))


def test_a_shard_whose_entry_names_no_files_is_refused(written: Path) -> None:
    shard = written / "shard-00001"
    entry = json.loads((shard / "shard.json").read_text())
    (shard / "shard.json").write_text(json.dumps({**entry, "files": {}}))
    (shard / "texts.arrow").unlink()
    for read in (list, GeneratedStore.numbers, GeneratedStore.counts):
        with pytest.raises(ArtefactError, match=r"shard-0000\d/\w+.\w+ is missing. Remove .*, and run the command"):
            read(GeneratedStore(written))


def test_what_is_exported_is_what_xqg_published_and_comes_back(written: Path, passages: PassageStore, tmp_path: Path) -> None:
    export_generated(GeneratedStore(written), passages, tmp_path / "out.jsonl.gz")
    with gzip.open(tmp_path / "out.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert rows[2] == {
        "docid": "2",
        "title": "",
        "text": "text 2",
        "generated_queries": {"fi": ["mikä 2.0?", "mikä 2.1?"], "ru": ["где?"]},
    }
    assert list(open_generated(str(tmp_path / "out.jsonl.gz"), passages, tmp_path / "artifacts")) == TEXTS
    export_generated(GeneratedStore(written), passages, tmp_path / "some.jsonl", only={0, 2})
    assert [json.loads(line) for line in (tmp_path / "some.jsonl").read_text(encoding="utf-8").splitlines()] == [
        rows[0],
        rows[2],
    ]


def test_published_files_in_any_order_are_brought_into_the_collections(
    passages: PassageStore, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    def line(row: int, queries: dict[str, list[str]]) -> str:
        return json.dumps({"docid": str(row), "title": "", "text": "", "generated_queries": queries}) + "\n"

    write("xqg/shard_0.jsonl", line(4, {"fi": ["d"]}) + line(0, {"te": ["a", "b"]}))
    write("xqg/shard_1.jsonl", line(2, {}))
    source = str(tmp_path / "xqg" / "shard_*.jsonl")
    store = open_generated(source, passages, tmp_path / "artifacts")
    assert store.languages == ("fi", "te")
    assert [dict(text.texts) for text in store] == [
        {"fi": (), "te": ("a", "b")},
        {"fi": (), "te": ()},
        {"fi": (), "te": ()},
        {"fi": (), "te": ()},
        {"fi": ("d",), "te": ()},
    ]
    assert open_generated(source, passages, tmp_path / "artifacts").folder == store.folder, "found again"


def test_texts_about_other_passages_are_refused(
    written: Path, passages: PassageStore, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    other = convert_passages([Passage("1", "", "another")], tmp_path / "other", {"from": "test"})
    with pytest.raises(ArtefactError, match="got texts about another collection"):
        open_generated(str(written), other, tmp_path / "artifacts")
    foreign = write("foreign.jsonl", '{"docid": "77", "generated_queries": {"fi": ["a"]}}\n')
    with pytest.raises(DataError, match="not in the collection: 77"):
        open_generated(str(foreign), passages, tmp_path / "artifacts")
    twice = write("twice.jsonl", '{"docid": "1", "generated_queries": {"fi": ["a"]}}\n' * 2)
    with pytest.raises(DataError, match="docid must be unique, got '1' twice"):
        open_generated(str(twice), passages, tmp_path / "artifacts")
    with pytest.raises(DataError, match="Nothing of that name exists"):
        open_generated(str(tmp_path / "nothing"), passages, tmp_path / "artifacts")
