"""What controls fuse, beside values by hand and by numpy."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.vectors.test_embeddings import store_of
from xdr.errors import ArtefactError, UserError
from xdr.retrieval.search import search
from xdr.vectors.controls import OtherPassages, SentenceSums, mean_texts
from xdr.vectors.embedding_writer import create_embeddings, writing_shard
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import TextSums, baseline_family, fused_family
from xdr.vectors.fusion import FUSIONS
from xdr.vectors.layout import Layout

SUMS = np.array([[[2, 0], [0, 0], [0, 2], [0, 4]], [[0, 3], [0, 0], [3, 0], [0, 0]]], np.float32)
"""Of Finnish texts, then of Telugu ones, of four passages. The second has none."""
COUNTS = np.array([[1, 0, 1, 2], [1, 0, 1, 0]])


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return store_of(
        tmp_path / "store", np.eye(4, 2), None, SUMS, COUNTS, layout=Layout(2, "language", ("fi", "te")), num_shards=2
    )


def read(texts: TextSums, store: EmbeddingStore, num_rows: int = 1) -> tuple[NDArray, NDArray]:
    parts = [texts.read(block) for block in store.blocks(num_rows)]
    return np.concatenate([sums for sums, _ in parts]), np.concatenate([counts for _, counts in parts])


def test_each_text_is_replaced_by_the_mean_text(store: EmbeddingStore, tmp_path: Path) -> None:
    """Six texts add up to (2 + 3, 6 + 3) = (5, 9). Finnish ones have the mean (1/2, 3/2), the two Telugu ones (3/2, 3/2)."""
    both = store.layout.select()
    sums_ND, counts_N = read(mean_texts(store, both, False, tmp_path), store)
    assert counts_N.tolist() == [2, 0, 2, 2]
    np.testing.assert_allclose(sums_ND, counts_N[:, None] * np.array([5, 9]) / 6, rtol=1e-7)
    sums_ND, counts_N = read(mean_texts(store, both, True, tmp_path), store)
    assert counts_N.tolist() == [2, 0, 2, 2]
    assert sums_ND.tolist() == [[2, 3], [0, 0], [2, 3], [1, 3]]
    sums_ND, counts_N = read(mean_texts(store, store.layout.select(["te"]), False, tmp_path), store)
    assert (sums_ND.tolist(), counts_N.tolist()) == ([[1.5, 1.5], [0, 0], [1.5, 1.5], [0, 0]], [1, 0, 1, 0])


def test_the_means_are_computed_once_for_the_same_vectors_and_texts(
    store: EmbeddingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = store.layout.select()
    first = read(mean_texts(store, both, False, tmp_path), store)
    monkeypatch.setattr("xdr.vectors.controls._sums", None)
    again = read(mean_texts(store, both, True, tmp_path), store)
    np.testing.assert_allclose(first[1], again[1])
    (folder,) = [path for path in tmp_path.iterdir() if (path / "shard-00000" / "sums.npy").exists()]
    (folder / "shard-00000" / "sums.npy").write_bytes(b"damaged")
    with pytest.raises(ArtefactError, match="sums.npy must have"):
        mean_texts(store, both, False, tmp_path)


def test_every_passage_with_texts_gets_those_of_another_one_of_its_shard(tmp_path: Path) -> None:
    """The sum of row i is (i, i), its count i % 3: who gets whose is seen in the sums."""
    rows = np.arange(60)
    counts_GN = (rows % 3)[None]
    sums_GND = np.where(counts_GN[..., None] > 0, np.repeat(rows[:, None], 2, axis=1)[None], 0).astype(np.float32)
    store = store_of(tmp_path, np.ones((60, 2)), None, sums_GND, counts_GN, num_shards=2)
    selection = store.layout.select()
    sums_ND, counts_N = read(OtherPassages(store, selection), store, 7)
    with_texts = rows % 3 > 0
    others = sums_ND[:, 0].astype(int)
    assert (others[~with_texts] == 0).all() and (counts_N[~with_texts] == 0).all()
    assert (others[with_texts] != rows[with_texts]).all() and (counts_N[with_texts] == others[with_texts] % 3).all()
    for shard in (rows < 30, rows >= 30):
        assert sorted(others[with_texts & shard]) == rows[with_texts & shard].tolist(), "a permutation within the shard"
    assert len(set((others - rows)[with_texts].tolist())) > 20, "in random order"
    np.testing.assert_array_equal(read(OtherPassages(store, selection), store, 30)[0], sums_ND, "the same in larger blocks")


def test_a_shard_with_one_passage_with_texts_is_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, np.ones((4, 1)), None, np.ones((1, 4, 1)), np.array([[1, 1, 0, 1]]), num_shards=2)
    with pytest.raises(UserError, match="one passage with texts, as that of row 3 has. Raise search.shard_size"):
        read(OtherPassages(store, store.layout.select()), store)


def sentences_of(folder: Path, sums_ND: NDArray, counts_N: NDArray, num_shards: int) -> EmbeddingStore:
    ledger = create_embeddings(folder, num_shards, Layout(2, "total", ("sentences",), passages=False), {"of": "sentences"})
    for shard, rows in enumerate(np.array_split(np.arange(len(counts_N)), num_shards)):
        with writing_shard(ledger, shard, [f"p{row}" for row in rows]) as writer:
            writer.put(slice(None), None, sums_ND[None, rows], counts_N[None, rows])
    return EmbeddingStore.open(folder)


def test_sums_of_sentences_are_stored_without_passages_and_read_where_a_passage_has_texts(
    store: EmbeddingStore, tmp_path: Path
) -> None:
    own_ND, counts_N = np.array([[1, 1], [2, 2], [3, 3], [4, 4]]), np.array([1, 2, 3, 4])
    sentences = sentences_of(tmp_path / "sentences", own_ND, counts_N, 2)
    assert len(sentences) == 4 and not list((tmp_path / "sentences").rglob("passages.npy"))
    assert sentences.layout.bytes_per_row == 2 * 2 + 2
    for num_rows in (1, 4):
        sums_ND, found_N = read(SentenceSums(sentences, store.layout.select()), store, num_rows)
        assert (sums_ND.tolist(), found_N.tolist()) == ([[1, 1], [0, 0], [3, 3], [4, 4]], [1, 0, 3, 4])


@pytest.mark.parametrize("fusion", ["mean", "unit_mean", "unit_of_mean"])
def test_controls_are_ranked_as_if_their_sums_were_stored(tmp_path: Path, fusion: str) -> None:
    rng = np.random.default_rng(0)
    passages_ND, own_ND = rng.standard_normal((2, 300, 2)).astype(np.float16)
    sums_GND = rng.standard_normal((2, 300, 2)).astype(np.float16)
    counts_GN = rng.integers(0, 4, (2, 300))
    sums_GND[counts_GN == 0] = 0
    layout = Layout(2, "language", ("fi", "te"))
    store = store_of(tmp_path / "store", passages_ND, None, sums_GND, counts_GN, layout=layout, num_shards=3)
    selection, queries_QD = layout.select(["te"]), rng.standard_normal((9, 2))
    controls: dict[str, TextSums] = {
        "mean_text_by_language": mean_texts(store, selection, True, tmp_path),
        "other_passages": OtherPassages(store, selection),
        "own_sentences": SentenceSums(sentences_of(tmp_path / "own", own_ND, np.full(300, 2), 3), selection),
    }
    families = [fused_family(FUSIONS[fusion], [0.2, 0.6], texts, name) for name, texts in controls.items()]
    found = search(store, queries_QD, [baseline_family(), *families], 10, block_rows=64)
    for name, texts in controls.items():
        sums_ND, counts_N = read(texts, store, 300)
        stored = store_of(tmp_path / name, passages_ND, None, sums_ND[None], counts_N[None], num_shards=3)
        expected = search(stored, queries_QD, [fused_family(FUSIONS[fusion], [0.2, 0.6], stored.layout.select(), name)], 10)
        for system, rankings in expected.items():
            np.testing.assert_allclose(found[system].scores_QK, rankings.scores_QK, atol=2e-3, err_msg=system)
            if name != "mean_text_by_language":  # its sums are not rounded to 16 bits
                np.testing.assert_array_equal(found[system].rows_QK, rankings.rows_QK, system)
