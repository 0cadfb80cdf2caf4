from pathlib import Path

import numpy as np
import pytest

from tests.retrieval.test_embeddings import store_of
from xdr.errors import ArtefactError, UserError
from xdr.retrieval.embeddings import EmbeddingStore
from xdr.retrieval.faiss_search import Flat, Hnsw, Index, Ivf, faiss_search
from xdr.retrieval.families import Family, baseline_family, fused_families
from xdr.retrieval.fusion import FUSIONS
from xdr.retrieval.search import search

RNG = np.random.default_rng(0)
QUERIES = RNG.standard_normal((15, 16)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    passages_ND, sums_ND = RNG.standard_normal((2, 2000, 16)).astype(np.float32)
    return store_of(tmp_path / "store", passages_ND, None, sums_ND[None], np.full((1, 2000), 5), num_shards=2)


def systems(store: EmbeddingStore) -> list[Family]:
    def families(name: str, alphas: list[float]) -> list[Family]:
        return fused_families(FUSIONS[name], alphas, store.layout.select())

    return [baseline_family(), *families("mean", [0.1, 0.4]), *families("unit_mean", [0.3])]


def test_a_flat_index_ranks_and_scores_as_the_exact_search(store: EmbeddingStore) -> None:
    expected = search(store, QUERIES, systems(store), 20)
    found = faiss_search(store, QUERIES, systems(store), 20, index=Flat())
    assert list(found) == list(expected) == ["baseline", "mean-a0.1", "mean-a0.4", "unit_mean-a0.3"]
    for system, rankings in found.items():
        np.testing.assert_array_equal(rankings.rows_QK, expected[system].rows_QK)
        np.testing.assert_array_equal(rankings.scores_QK, expected[system].scores_QK)


@pytest.mark.parametrize("index", [Ivf(16, 16), Hnsw(32, 200, 400)])
def test_an_index_that_looks_nearly_everywhere_finds_nearly_everything(store: EmbeddingStore, index: Index) -> None:
    (expected,) = search(store, QUERIES, [baseline_family()], 20).values()
    (found,) = faiss_search(store, QUERIES, [baseline_family()], 20, index=index).values()
    same = [len(set(ours) & set(theirs)) for ours, theirs in zip(expected.rows_QK, found.rows_QK, strict=True)]
    assert np.mean(same) > 19


def test_a_kept_index_is_found_again_and_told_from_others(store: EmbeddingStore, tmp_path: Path) -> None:
    folder, built = tmp_path / "indexes", list[int]()
    for _ in range(2):
        faiss_search(store, QUERIES, [baseline_family("one")], 5, index=Flat(), folder=folder, progress=built.append)
    assert built == [1000, 2000], "two blocks, once"
    misnamed = fused_families(FUSIONS["sum"], [0.5], store.layout.select())
    misnamed = [Family(("one",), misnamed[0].weights, misnamed[0].ends)]
    (found,) = faiss_search(store, QUERIES, misnamed, 5, index=Flat(), folder=folder).values()
    (expected,) = search(store, QUERIES, misnamed, 5).values()
    np.testing.assert_array_equal(found.rows_QK, expected.rows_QK)
    assert len(list(folder.glob("*.faiss"))) == 2


def test_a_damaged_index_is_refused(store: EmbeddingStore, tmp_path: Path) -> None:
    faiss_search(store, QUERIES, [baseline_family()], 5, index=Flat(), folder=tmp_path / "i")
    (file,) = (tmp_path / "i").glob("*.faiss")
    file.write_bytes(file.read_bytes()[:-4] + b"oops")
    with pytest.raises(ArtefactError, match=".faiss is missing or damaged"):
        faiss_search(store, QUERIES, [baseline_family()], 5, index=Flat(), folder=tmp_path / "i")


def test_settings_that_cannot_be_are_refused(store: EmbeddingStore) -> None:
    for index, k, device, says in [
        (Ivf(8, 9), 5, "cpu", "1 <= search.probes <= search.lists"),
        (Ivf(2000, 1), 5, "cpu", "widen the search of Ivf"),
        (Hnsw(8, 16, 16), 5, "cuda", "use device=cpu"),
        (Flat(), 2001, "cpu", "at most the collection's 2,000"),
    ]:
        with pytest.raises(UserError, match=says):
            faiss_search(store, QUERIES, [baseline_family()], k, index=index, device=device)  # type: ignore[arg-type]
