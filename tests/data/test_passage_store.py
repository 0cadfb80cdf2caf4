import multiprocessing
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from xdr.data import id_index, passage_store
from xdr.data.id_index import hash_ids
from xdr.data.passage_batches import BATCH_ROWS
from xdr.data.passage_store import PassageStore, convert_passages
from xdr.errors import ArtefactError, DataError
from xdr.text.records import Passage


def passages(number: int) -> list[Passage]:
    return [Passage(f"id-{i}", f"title {i}" if i % 3 else "", f"text {i} é 日", "en" if i % 2 else "fi") for i in range(number)]


def test_what_goes_in_comes_out_by_row_by_id_and_in_order(tmp_path: Path) -> None:
    original = passages(2 * BATCH_ROWS + 17)
    store = convert_passages(original, tmp_path / "store", {"test": 1})
    assert len(store) == len(original)
    assert list(store) == original
    assert list(store.slice(BATCH_ROWS - 2, BATCH_ROWS + 2)) == original[BATCH_ROWS - 2 : BATCH_ROWS + 2]
    rows = [0, BATCH_ROWS - 1, BATCH_ROWS, len(original) - 1]
    assert [store[row] for row in rows] == [original[row] for row in rows]
    assert store.rows([original[row].passage_id for row in rows] + ["nowhere"]) == [*rows, None]
    with pytest.raises(IndexError):
        store[len(original)]


def test_the_languages_of_all_passages_are_there_at_once(tmp_path: Path) -> None:
    store = convert_passages(passages(BATCH_ROWS + 3), tmp_path / "store", {})
    languages, of_row = store.languages()
    assert [languages[code] for code in of_row] == [passage.language for passage in store]


def test_sorting_in_parts_finds_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "_SORTED_AT_ONCE", 100)
    original = passages(1000)
    store = convert_passages(original, tmp_path / "store", {})
    assert store.rows([passage.passage_id for passage in original]) == list(range(1000))
    hashes = np.load(tmp_path / "store" / "id_hashes.npy")
    assert (np.diff(hashes.astype(object)) > 0).all()


def test_ids_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two_hashes(ids: list[str]) -> np.ndarray:
        return hash_ids(ids) % np.uint64(2)

    monkeypatch.setattr(id_index, "hash_ids", two_hashes)
    monkeypatch.setattr(passage_store, "hash_ids", two_hashes)
    original = passages(50)
    store = convert_passages(original, tmp_path / "store", {})
    assert store.rows([passage.passage_id for passage in original] + ["other"]) == [*range(50), None]


def test_the_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    prints = [convert_passages(p, tmp_path / str(i), {"i": i}).fingerprint for i, p in enumerate([passages(9), passages(9)])]
    assert prints[0] == prints[1]
    changed = [*passages(8), Passage("id-8", "", "text 8 é 日!", "fi")]
    moved = [Passage("id-0", "t", "ext 0", "fi"), *passages(9)[1:]]
    for number, other in enumerate((passages(8), changed, moved, passages(9)[::-1])):
        assert convert_passages(other, tmp_path / f"other{number}", {}).fingerprint != prints[0]


def test_an_id_that_comes_twice_leaves_no_store(tmp_path: Path) -> None:
    files = {"sources": {"a.tsv": {"bytes": 7}, "b.tsv": {"bytes": 8}}}
    with pytest.raises(DataError, match="^a.tsv, b.tsv, field 'docid': ids must be unique, got 'id-3' for passages 4 and 6,0"):
        convert_passages([*passages(6000), passages(4)[3]], tmp_path / "store", files)
    with pytest.raises(DataError, match="at least one passage, got none"):
        convert_passages([], tmp_path / "store", {})
    assert not [file for file in tmp_path.iterdir() if not file.name.endswith(".lock")]


def test_a_reader_that_fails_half_way_leaves_no_store(tmp_path: Path) -> None:
    def failing():
        yield from passages(10_000)
        raise DataError("line 10001")

    with pytest.raises(DataError, match="line 10001"):
        convert_passages(failing(), tmp_path / "store", {})
    assert not [file for file in tmp_path.iterdir() if not file.name.endswith(".lock")]


@pytest.mark.parametrize("file", ["passages.arrow", "id_hashes.npy", "id_rows.npy"])
def test_a_truncated_or_missing_file_is_refused(tmp_path: Path, file: str) -> None:
    convert_passages(passages(100), tmp_path / "store", {})
    path = tmp_path / "store" / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="must be a whole store"):
        PassageStore(tmp_path / "store")
    path.unlink()
    with pytest.raises(ArtefactError, match="must be a whole store"):
        PassageStore(tmp_path / "store")


def _damage(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place, 2 if place < 0 else 0)
        file.write(content)


def test_a_changed_text_of_the_same_size_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    convert_passages(passages(2 * BATCH_ROWS), tmp_path / "store", {})
    path = tmp_path / "store" / "passages.arrow"
    _damage(path, path.read_bytes().index(f"text {BATCH_ROWS + 9} ".encode()), b"TEXT")
    store = PassageStore(tmp_path / "store")
    assert store[BATCH_ROWS - 1] == passages(BATCH_ROWS)[-1], "another batch is whole"
    assert store.rows(["id-5000"]) == [5000], "and so are the ids"
    said = rf"passages\.arrow is damaged: passages {BATCH_ROWS + 1:,} to .* Remove .*store, and run the command"
    with pytest.raises(ArtefactError, match=said):
        store[BATCH_ROWS]
    with pytest.raises(ArtefactError, match=said):
        list(store)


@pytest.mark.parametrize("column", ["id-778", "title 778", "text 778", "fienfien"])
def test_every_column_has_a_checksum(tmp_path: Path, column: str) -> None:
    convert_passages(passages(1000), tmp_path / "store", {})
    path = tmp_path / "store" / "passages.arrow"
    _damage(path, path.read_bytes().index(column.encode()), b"xx")
    with pytest.raises(ArtefactError, match="is damaged"):
        list(PassageStore(tmp_path / "store"))


def test_a_changed_language_is_noticed_where_only_languages_are_read(tmp_path: Path) -> None:
    convert_passages(passages(1000), tmp_path / "store", {})
    path = tmp_path / "store" / "passages.arrow"
    _damage(path, path.read_bytes().index(b"fienfien"), b"sv")
    with pytest.raises(ArtefactError, match="is damaged"):
        PassageStore(tmp_path / "store").languages()


@pytest.mark.parametrize("file", ["id_hashes.npy", "id_rows.npy"])
@pytest.mark.parametrize("place", [0, -4])
def test_a_damaged_index_is_refused_when_an_id_is_looked_up(tmp_path: Path, file: str, place: int) -> None:
    convert_passages(passages(1000), tmp_path / "store", {})
    _damage(tmp_path / "store" / file, place, b"\xaa\xbb\xcc\xdd")
    with pytest.raises(ArtefactError, match=rf"{file} is damaged: .* Remove .*store, and run the command"):
        PassageStore(tmp_path / "store").rows(["id-1"])


@pytest.mark.parametrize("place", [0, 8, 100, -4, -11, -60, -200])
def test_a_damaged_head_or_footer_is_an_error_of_ours_or_has_no_effect(tmp_path: Path, place: int) -> None:
    convert_passages(passages(1000), tmp_path / "store", {})
    _damage(tmp_path / "store" / "passages.arrow", place, b"\xff\xee\xdd\xff")
    with suppress(ArtefactError):
        assert list(PassageStore(tmp_path / "store")) == passages(1000), "bytes that nobody reads"


def test_a_destroyed_footer_is_refused(tmp_path: Path) -> None:
    convert_passages(passages(1000), tmp_path / "store", {})
    _damage(tmp_path / "store" / "passages.arrow", -300, bytes(300))
    with pytest.raises(ArtefactError, match=r"passages\.arrow is damaged: .* Remove .*store, and run the command"):
        PassageStore(tmp_path / "store")


def test_a_changed_number_in_the_manifest_is_refused(tmp_path: Path) -> None:
    convert_passages(passages(1000), tmp_path / "store", {})
    path = tmp_path / "store" / "store.json"
    path.write_text(path.read_text().replace('"num_passages": 1000', '"num_passages": 900'))
    with pytest.raises(ArtefactError, match=r"store\.json is damaged: its content is not what its seal says\. Remove"):
        PassageStore(tmp_path / "store")


def test_the_file_of_another_store_is_refused(tmp_path: Path) -> None:
    convert_passages(passages(1000), tmp_path / "one", {})
    convert_passages([*passages(999), Passage("id-999", "", "text 999 é 本", "en")], tmp_path / "two", {})
    (tmp_path / "two" / "passages.arrow").rename(tmp_path / "one" / "passages.arrow")
    with pytest.raises(ArtefactError, match="is damaged"):
        list(PassageStore(tmp_path / "one"))


def test_a_store_made_from_something_else_is_refused(tmp_path: Path) -> None:
    convert_passages(passages(3), tmp_path / "store", {"file": "a"})
    with pytest.raises(ArtefactError, match="was made from"):
        convert_passages(passages(3), tmp_path / "store", {"file": "b"})


def test_missing_ids_are_named(tmp_path: Path) -> None:
    store = convert_passages(passages(3), tmp_path / "store", {})
    with pytest.raises(DataError, match=r"run\.trec: 2 passage ids are not in the collection: x, y"):
        store.require_rows(["id-1", "x", "y"], "run.trec")


def _eighth(store: PassageStore) -> Passage:
    return store[7]


def _convert(folder: Path) -> str:
    return convert_passages(passages(3000), folder, {}).fingerprint


def test_processes_that_want_one_store_share_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(_convert, [tmp_path / "store"] * 4))) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == [".store.lock", "store"]
    store = PassageStore(tmp_path / "store")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_eighth, [store]) == [store[7]] == [passages(8)[7]]
