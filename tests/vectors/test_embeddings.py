import hashlib
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from xdr.errors import ArtefactError, DataError, UserError
from xdr.vectors.embedding_writer import create_embeddings, writing_shard
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.layout import Layout

MADE_BY = {"encoder": "abc", "passage_length": 128}


def store_of(
    folder: Path,
    passages_ND: NDArray,
    ids: Sequence[str] | None = None,
    sums_GND: NDArray | None = None,
    counts_GN: NDArray | None = None,
    *,
    layout: Layout | None = None,
    num_shards: int = 1,
) -> EmbeddingStore:
    """The vectors in shards of nearly equal size; ids are p000, p001, ... if not given."""
    num_rows, dimension = passages_ND.shape
    ids = ids or [f"p{row:03d}" for row in range(num_rows)]
    layout = layout or Layout(dimension, "none" if sums_GND is None else "total")
    ledger = create_embeddings(folder, num_shards, layout, MADE_BY)
    for shard, rows in enumerate(np.array_split(np.arange(num_rows), num_shards)):
        with writing_shard(ledger, shard, [ids[row] for row in rows]) as writer:
            if sums_GND is None or counts_GN is None:
                writer.put(slice(None), passages_ND[rows])
            else:
                writer.put(slice(None), passages_ND[rows], sums_GND[:, rows], counts_GN[:, rows])
    return EmbeddingStore.open(folder)


def test_vectors_come_back_in_blocks_with_rows_counted_through_all_shards(tmp_path: Path) -> None:
    passages_ND = np.arange(14, dtype=np.float32).reshape(7, 2)
    store = store_of(tmp_path, passages_ND, num_shards=2)
    blocks = [(block.first_row, block.passages().tolist()) for block in store.blocks(3)]
    assert blocks == [(0, [[0, 1], [2, 3], [4, 5]]), (3, [[6, 7]]), (4, [[8, 9], [10, 11], [12, 13]])]
    assert [block.first_row for block in store.blocks(3, shards=[1])] == [4]
    assert store.ids(np.array([5, 0, 5, 3])) == ["p005", "p000", "p005", "p003"]
    assert len(store) == 7


def test_rows_are_put_in_any_order(tmp_path: Path) -> None:
    ledger = create_embeddings(tmp_path, 1, Layout(1), MADE_BY)
    with writing_shard(ledger, 0, ["a", "b", "c"]) as writer:
        writer.put(np.array([2, 0]), np.array([[3.0], [1.0]]))
        writer.put(slice(1, 2), np.array([[2.0]]))
    (block,) = EmbeddingStore.open(tmp_path).blocks(10)
    assert block.passages()[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("layout", [Layout(7), Layout(7, "count", ("fi", "te"), 2)])
def test_what_a_row_takes_on_disk_is_known_before_it_is_written(layout: Layout, tmp_path: Path) -> None:
    ledger, groups = create_embeddings(tmp_path, 1, layout, MADE_BY), len(layout.groups)
    with writing_shard(ledger, 0, [str(row) for row in range(1000)]) as writer:
        sums = (np.zeros((groups, 1000, 7)), np.zeros((groups, 1000), int)) if groups else ()
        writer.put(slice(None), np.zeros((1000, 7)), *sums)
    written = sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
    assert written == pytest.approx(1000 * layout.bytes_per_row, abs=3 * 128), "besides NumPy's headers"


def test_a_shard_with_a_row_unwritten_does_not_join_the_ledger(tmp_path: Path) -> None:
    ledger = create_embeddings(tmp_path, 1, Layout(1), MADE_BY)
    with pytest.raises(AssertionError, match="1 rows were never written"), writing_shard(ledger, 0, ["a", "b"]) as writer:
        writer.put(np.array([1]), np.array([[3.0]]))
    assert ledger.missing() == [0]


def test_any_languages_and_any_number_of_queries_compose_from_sums_kept_by_count(tmp_path: Path) -> None:
    """Passage 0 has fi queries worth 1 and 10, and te queries worth 100 and 1000; passage 1 has one, fi, worth 5."""
    layout = Layout(1, "count", ("fi", "te"), 2)
    assert layout.groups == ("fi/1", "fi/2", "te/1", "te/2")
    sums_GN1, counts_GN = np.zeros((4, 2, 1)), np.zeros((4, 2), int)
    for row, language, position, value in [
        (0, "fi", 0, 1),
        (0, "fi", 1, 10),
        (0, "te", 0, 100),
        (0, "te", 1, 1000),
        (1, "fi", 0, 5),
    ]:
        for c in range(position + 1, 3):
            group = layout.groups.index(f"{language}/{c}")
            sums_GN1[group, row] += value
            counts_GN[group, row] += 1
    (block,) = store_of(tmp_path, np.ones((2, 1)), None, sums_GN1, counts_GN, layout=layout).blocks(10)

    def composed(languages: list[str] | None, count: int | None) -> tuple[list, list]:
        sums_ND, counts_N = block.generated(layout.select(languages, count))
        return sums_ND[:, 0].tolist(), counts_N.tolist()

    assert composed(None, None) == ([1111, 5], [4, 1])
    assert composed(None, 1) == ([101, 5], [2, 1])
    assert composed(["te"], 2) == ([1100, 0], [2, 0])
    assert composed(["fi"], 1) == ([1, 5], [1, 1])


def test_what_a_layout_does_not_keep_cannot_be_selected() -> None:
    assert Layout(1, "total").select().groups == (0,)
    assert Layout(1, "language", ("fi", "te", "ru")).select(["ru", "fi"]).groups == (2, 0)
    for layout, languages, count, says in [
        (Layout(1), None, None, "hold no generated texts"),
        (
            Layout(1, "total", ("fi",)),
            ["fi"],
            None,
            r"kept by the embeddings \(one sum of all\), got \[\'fi\'\]. Encode with keep=language",
        ),
        (Layout(1, "language", ("fi",)), ["te"], None, r"kept by the embeddings \(fi, all of each\), got \['te'\]"),
        (Layout(1, "language", ("fi",)), None, 1, "count must be kept by the embeddings"),
        (Layout(1, "count", ("fi",), 2), None, 3, r"\(fi, up to 2 of each\), got 3. Encode with keep=count"),
        (Layout(1, "language", ("fi",)), ["fi", "fi"], None, "each once"),
        (Layout(1, "language", ("fi",)), [], None, "at least one language"),
    ]:
        with pytest.raises(UserError, match=says):
            layout.select(languages, count)


@pytest.mark.parametrize(
    ("value", "says"),
    [(np.nan, "holds NaN or infinity"), (np.inf, "holds NaN or infinity"), (1e5, "holds 100000, too large for float16")],
)
def test_a_vector_that_is_no_vector_is_refused_with_its_passages_id(tmp_path: Path, value: float, says: str) -> None:
    passages_ND = np.ones((5, 2), np.float32)
    passages_ND[3, 1] = value
    with pytest.raises(DataError, match=f"the passage 'p003' {says}"):
        store_of(tmp_path / "a", passages_ND)
    with pytest.raises(DataError, match=f"the generated texts of 'p003' {says}"):
        store_of(tmp_path / "b", np.ones((5, 2)), None, passages_ND[None], np.ones((1, 5), int))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    create_embeddings(tmp_path, 2, Layout(1), MADE_BY)
    with pytest.raises(ArtefactError, match="lacks 2 of 2 shards"):
        EmbeddingStore.open(tmp_path)


def test_a_corrupt_shard_is_named(tmp_path: Path) -> None:
    store_of(tmp_path, np.ones((6, 2)), num_shards=2)
    file = tmp_path / "shard-00001" / "passages.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    first, second = EmbeddingStore.open(tmp_path).blocks(3)
    first.passages()
    with pytest.raises(ArtefactError, match="shard-00001/passages.npy is damaged"):
        second.passages()


def test_embeddings_of_another_encoder_are_refused(tmp_path: Path) -> None:
    store_of(tmp_path, np.ones((2, 2)))
    with pytest.raises(ArtefactError, match="encoder"):
        create_embeddings(tmp_path, 1, Layout(2), {**MADE_BY, "encoder": "def"})


def test_counts_and_norms_of_a_collection_are_known(tmp_path: Path) -> None:
    unit_ND = np.array([[0.6, 0.8], [1, 0], [0, 1]])
    store = store_of(tmp_path / "a", unit_ND, None, unit_ND[None], np.array([[3, 0, 7]]), num_shards=2)
    assert store.count_range(store.layout.select()) == (0, 7)
    assert store.has_unit_norms()
    assert not store_of(tmp_path / "b", unit_ND * 2).has_unit_norms()


def _replaced(file: Path, content: bytes) -> None:
    """With an entry that fits the new content."""
    entry = file.parent / "shard.json"
    described = json.loads(entry.read_text())
    file.write_bytes(content)
    described["files"][file.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    entry.write_text(json.dumps(described))


def _saved(values: NDArray, version: tuple[int, int] | None = None) -> bytes:
    file = BytesIO()
    np.lib.format.write_array(file, values, version=version)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        _saved(np.array([["a", {}], [1, None], [2, 3]], object)),
        _saved(np.ones((3, 2), np.float16), (2, 0)),
        _saved(np.ones((3, 2), np.float32)),
        _saved(np.ones((3, 2, 1), np.float16)),
        _saved(np.asfortranarray(np.ones((3, 2), np.float16))),
        _saved(np.float16(1)),
        _saved(np.ones((3, 2), np.float16))[:-4],
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{'descr'",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 3}    \n",
        b"\x93NUMPY\x01\x00\x10\x00\xff\xfe\x00(((((((((((\n\n",
        b"PK\x03\x04" + bytes(200),
    ],
)
def test_another_array_with_a_fitting_checksum_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    store_of(tmp_path, np.ones((3, 2)))
    _replaced(tmp_path / "shard-00000" / "passages.npy", content)
    with pytest.raises(ArtefactError, match=r"passages.npy .*Remove .*shard-00000, and run the command"):
        [block.passages() for block in EmbeddingStore.open(tmp_path).blocks(10)]


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"garbage" * 100])
def test_ids_that_are_no_ids_are_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    store = store_of(tmp_path, np.ones((3, 2)))
    _replaced(tmp_path / "shard-00000" / "ids.arrow", content)
    with pytest.raises(ArtefactError, match=r"ids.arrow .*Remove .*shard-00000, and run the command"):
        store.ids(np.array([1]))


@pytest.mark.parametrize(
    ("vectors", "equal"),
    [
        (np.zeros((3, 2)), True),
        (np.full((3, 2), 0.7), True),
        (np.array([[1.0, 0.0]]), False),
        (np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.01]]), False),
    ],
)
def test_equal_vectors_are_told_from_others(tmp_path: Path, vectors: NDArray, equal: bool) -> None:
    assert store_of(tmp_path, vectors).are_equal() == equal
