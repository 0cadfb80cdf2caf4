import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.vectors.test_embeddings import store_of
from xdr.errors import UserError
from xdr.retrieval.index_search import index_search
from xdr.retrieval.indexes import BuiltIndex, Flat, Hnsw, Index, Ivf, Vectors
from xdr.retrieval.search import search
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family, baseline_family, fused_family
from xdr.vectors.fusion import FUSIONS

RNG = np.random.default_rng(0)
QUERIES = RNG.standard_normal((15, 16)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    passages_ND, sums_ND = RNG.standard_normal((2, 2000, 16)).astype(np.float32)
    return store_of(tmp_path / "store", passages_ND, None, sums_ND[None], np.full((1, 2000), 5), num_shards=2)


def systems(store: EmbeddingStore) -> list[Family]:
    def family(name: str, alphas: list[float]) -> Family:
        return fused_family(FUSIONS[name], alphas, store.layout.select())

    return [baseline_family(), family("mean", [0.1, 0.4]), family("unit_mean", [0.3])]


def test_a_flat_index_ranks_and_scores_as_the_exact_search(store: EmbeddingStore) -> None:
    expected = search(store, QUERIES, systems(store), 20)
    found = index_search(store, QUERIES, systems(store), 20, index=Flat())
    assert list(found) == list(expected) == ["baseline", "mean-a0.1", "mean-a0.4", "unit_mean-a0.3"]
    for system, rankings in found.items():
        np.testing.assert_array_equal(rankings.rows_QK, expected[system].rows_QK)
        np.testing.assert_array_equal(rankings.scores_QK, expected[system].scores_QK)


@pytest.mark.parametrize("index", [Ivf(16, 16), Hnsw(32, 200, 400)])
def test_an_index_that_looks_nearly_everywhere_finds_nearly_everything(store: EmbeddingStore, index: Index) -> None:
    (expected,) = search(store, QUERIES, [baseline_family()], 20).values()
    (found,) = index_search(store, QUERIES, [baseline_family()], 20, index=index).values()
    same = [len(set(ours) & set(theirs)) for ours, theirs in zip(expected.rows_QK, found.rows_QK, strict=True)]
    assert np.mean(same) > 19


def test_progress_counts_the_rows_of_all_indexes(store: EmbeddingStore) -> None:
    counted: list[int] = []
    index_search(store, QUERIES, systems(store)[:2], 5, index=Flat(), progress=counted.append)
    assert counted == [1000, 2000, 3000, 4000, 5000, 6000], "two shards, three systems"


class Unsorted:
    """An index of somebody else: it knows neither faiss nor this package."""

    def require_buildable(self, num_vectors: int) -> None:
        pass

    def build(self, vectors: Vectors, device: str) -> BuiltIndex:
        return All(len(vectors))


class All:
    def __init__(self, num_vectors: int) -> None:
        self.num_vectors = num_vectors

    def search(self, queries_QD: NDArray[np.float32], num_candidates: int) -> NDArray[np.int64]:
        return np.tile(np.arange(self.num_vectors), (len(queries_QD), 1))


def test_an_index_outside_the_package_is_searched_too(store: EmbeddingStore) -> None:
    expected = search(store, QUERIES, systems(store), 20)
    for system, rankings in index_search(store, QUERIES, systems(store), 20, index=Unsorted()).items():
        np.testing.assert_array_equal(rankings.rows_QK, expected[system].rows_QK)
        np.testing.assert_array_equal(rankings.scores_QK, expected[system].scores_QK)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Ivf(8, 9), r"probes must be at most lists \(8\), got 9"),
        (lambda: Ivf(0, 0), "lists must be at least 1, got 0"),
        (lambda: Hnsw(8, 16, -1), "search_width must be at least 1, got -1"),
    ],
)
def test_parameters_that_no_index_has_are_refused(make: Callable[[], Index], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()


def test_an_index_that_cannot_be_built_or_searched_is_refused(store: EmbeddingStore) -> None:
    for index, k, device, says in [
        (Ivf(2001, 1), 5, "cpu", r"lists must be at most the number of passages \(2,000\), got 2,001"),
        (Ivf(2000, 1), 5, "cpu", "Widen the search of Ivf"),
        (Hnsw(8, 16, 16), 5, "cuda", "device must be cpu with this index, got cuda"),
        (Flat(), 2001, "cpu", "2,000"),
    ]:
        with pytest.raises(UserError, match=says):
            index_search(store, QUERIES, [baseline_family()], k, index=index, device=device)  # type: ignore[arg-type]  # mypy infers object


def test_the_settings_of_an_index_need_neither_torch_nor_faiss() -> None:
    code = "import sys; from xdr.retrieval import indexes; assert not {'torch', 'faiss', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
