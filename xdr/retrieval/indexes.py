"""Indexes to search with instead of the exact search, each a dataclass of its settings.

Importing this module imports neither faiss, torch nor NumPy.

An index of your own is any object with the methods of `Index`. Shapes: Q queries, N vectors, C candidates, D dimensions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from xdr.errors import UserError
from xdr.retrieval.faiss_import import has_gpu, load_faiss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Vectors(Protocol):
    """The vectors of one system, read block by block."""

    @property
    def dimension(self) -> int: ...

    def __len__(self) -> int: ...

    def blocks(self, step: int = 1) -> "Iterator[NDArray[np.float32]]":
        """All vectors in order, or one of every `step`."""
        ...


class BuiltIndex(Protocol):
    def search(self, queries_QD: "NDArray[np.float32]", num_candidates: int) -> "NDArray[np.int64]":
        """(Q, C) numbers of vectors, best first by inner product; -1 where no candidate is left. Scores are not needed."""
        ...


class Index(Protocol):
    def require_buildable(self, num_vectors: int) -> None:
        """Raises a UserError if no index of so many vectors can be built. Called before passages are encoded."""
        ...

    def build(self, vectors: Vectors, device: str) -> BuiltIndex: ...


@dataclass(frozen=True, slots=True)
class Flat:
    """Exact search over all vectors in memory; on GPUs in float16, spread over all of them. The GPU path was never run."""

    def require_buildable(self, num_vectors: int) -> None:
        pass

    def build(self, vectors: Vectors, device: str) -> "FaissIndex":
        faiss = load_faiss()
        index = _filled(faiss.IndexFlatIP(vectors.dimension), vectors)
        if device != "cpu":
            if not has_gpu(faiss):
                raise UserError(f"device must be cpu for faiss without GPU support, got {device}")
            options = faiss.GpuMultipleClonerOptions()
            options.shard = options.useFloat16 = True
            index = faiss.index_cpu_to_all_gpus(index, co=options)
        return FaissIndex(index)


@dataclass(frozen=True, slots=True)
class Ivf:
    """Approximate search: vectors in `lists` clusters, of which the nearest `probes` are searched."""

    lists: int
    probes: int

    def __post_init__(self) -> None:
        _require_positive(lists=self.lists, probes=self.probes)
        if self.probes > self.lists:
            raise UserError(f"probes must be at most lists ({self.lists:,}), got {self.probes:,}")

    def require_buildable(self, num_vectors: int) -> None:
        if self.lists > num_vectors:
            raise UserError(f"lists must be at most the number of passages ({num_vectors:,}), got {self.lists:,}")

    def build(self, vectors: Vectors, device: str) -> "FaissIndex":
        import numpy as np

        _require_cpu(device)
        index = load_faiss().index_factory(vectors.dimension, f"IVF{self.lists},Flat", 0)  # 0: inner product
        step = max(1, len(vectors) // (64 * self.lists))  # faiss asks for at least 39 vectors a cluster
        index.train(np.concatenate(list(vectors.blocks(step))))
        index.nprobe = self.probes
        return FaissIndex(_filled(index, vectors))


@dataclass(frozen=True, slots=True)
class Hnsw:
    """Approximate search in a graph of `links` neighbours a vector.

    `build_width` and `search_width` are the numbers of candidates that are kept while the graph is built and searched. A graph
    that is built on several threads differs from run to run.
    """

    links: int
    build_width: int
    search_width: int

    def __post_init__(self) -> None:
        _require_positive(links=self.links, build_width=self.build_width, search_width=self.search_width)

    def require_buildable(self, num_vectors: int) -> None:
        pass

    def build(self, vectors: Vectors, device: str) -> "FaissIndex":
        _require_cpu(device)
        index = load_faiss().index_factory(vectors.dimension, f"HNSW{self.links},Flat", 0)
        index.hnsw.efConstruction, index.hnsw.efSearch = self.build_width, self.search_width
        return FaissIndex(_filled(index, vectors), self.search_width)


@dataclass(frozen=True, slots=True)
class FaissIndex:
    faiss_index: Any
    search_width: int | None = None
    """Of a graph: the least number of candidates that are kept while it is searched."""

    def search(self, queries_QD: "NDArray[np.float32]", num_candidates: int) -> "NDArray[np.int64]":
        if self.search_width is not None:
            self.faiss_index.hnsw.efSearch = max(self.search_width, num_candidates)
        load_faiss().cvar.distance_compute_blas_threshold = 1  # else up to seven times slower below some 200 queries
        rows_QC: NDArray[np.int64] = self.faiss_index.search(queries_QD, num_candidates)[1]
        return rows_QC


def _filled(index: Any, vectors: Vectors) -> Any:
    for vectors_ND in vectors.blocks():
        index.add(vectors_ND)
    return index


def _require_positive(**parameters: int) -> None:
    for name, value in parameters.items():
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}")


def _require_cpu(device: str) -> None:
    if device != "cpu":
        raise UserError(f"device must be cpu with this index, got {device}. The exact search and the flat index run on GPUs")
