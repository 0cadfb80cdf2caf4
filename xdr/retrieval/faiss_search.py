"""Search with a faiss index, for those who want one: the call of `search`, an index a system.

Flat is exact and holds every vector in memory; IVF and HNSW are approximate and fast. What an index finds is scored and ordered
as by `search`, so that rankings of both can be compared; of passages tied at rank k, the index chooses. Building HNSW on
several threads gives a graph that differs from run to run.

The flat index on GPUs, in float16 and spread over all of them, is written after faiss' documentation and was never run.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.errors import ArtefactError, UserError
from xdr.retrieval.embeddings import EmbeddingStore
from xdr.retrieval.exact_scores import rank_pairs
from xdr.retrieval.faiss_import import has_gpu, load_faiss
from xdr.retrieval.families import BlockVectors, Family
from xdr.retrieval.rankings import Rankings
from xdr.retrieval.search import refuse_unless_searchable
from xdr.storage.files import read_json, replacing_file, write_json
from xdr.storage.fingerprint import Json, checksum_file, fingerprint

_BLOCK_ROWS = 16384
_CPU = torch.device("cpu")
_SPARE = 32  # candidates more than k: faiss' rounding may order the last ones otherwise


@dataclass(frozen=True, slots=True)
class Flat:
    """All vectors, exact."""


@dataclass(frozen=True, slots=True)
class Ivf:
    """Vectors in `lists` clusters, of which the nearest `probes` are searched."""

    lists: int
    probes: int


@dataclass(frozen=True, slots=True)
class Hnsw:
    """A graph of `links` neighbours a vector, built and walked with so many candidates at hand."""

    links: int
    build_width: int
    search_width: int


Index: TypeAlias = Flat | Ivf | Hnsw


def refuse_unless_buildable(index: Index, num_passages: int) -> None:
    if isinstance(index, Ivf) and not 1 <= index.probes <= index.lists <= num_passages:
        came = f"{index.probes} and {index.lists} came"
        raise UserError(f"IVF has 1 <= search.probes <= search.lists <= {num_passages:,} passages, and {came}")


def faiss_search(
    store: EmbeddingStore,
    queries_QD: NDArray[np.floating],
    families: Sequence[Family],
    k: int,
    *,
    index: Index,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda num_rows: None,
) -> dict[str, Rankings]:
    """The k best passages of each query for every system. Indexes are kept in `folder`, and found there again. `progress` is
    called with the number of rows added so far, to all indexes."""
    refuse_unless_searchable(store, queries_QD, families, k)
    faiss = load_faiss()
    if device != "cpu" and not (isinstance(index, Flat) and has_gpu(faiss) and folder is None):
        raise UserError(
            f"faiss searches on {device} with a flat index that is not kept in a folder, with faiss-gpu and a GPU in sight; "
            "use device=cpu, or the exact search, which needs no index"
        )
    refuse_unless_buildable(index, len(store))
    faiss.cvar.distance_compute_blas_threshold = 1  # else up to seven times slower below some 200 queries
    found: dict[str, Rankings] = {}
    for system in [_alone(family, i) for family in families for i in range(len(family.systems))]:
        report = _counting(progress, len(found) * len(store))
        if device == "cpu":
            built = _kept_index(faiss, store, system, index, folder, report)
        else:
            built = _index_on_gpus(faiss, store, system, report)
        found[system.systems[0]] = _search(built, store, queries_QD, system, k, index)
    return found


def _alone(family: Family, i: int) -> Family:
    return Family((family.systems[i],), (family.weights[i],), family.ends)


def _counting(progress: Callable[[int], None], before: int) -> Callable[[int], None]:
    return lambda num_rows: progress(before + num_rows)


def _search(
    built: Any, store: EmbeddingStore, queries_QD: NDArray[np.floating], system: Family, k: int, index: Index
) -> Rankings:
    if isinstance(index, Ivf):
        built.nprobe = index.probes
    elif isinstance(index, Hnsw):
        built.hnsw.efSearch = max(index.search_width, k + _SPARE)
    _, rows_QC = built.search(np.ascontiguousarray(queries_QD, np.float32), min(k + _SPARE, len(store)))
    queries_P, places_P = np.nonzero(rows_QC >= 0)
    fewest = int((rows_QC >= 0).sum(axis=1).min())
    if fewest < k:
        raise UserError(f"the index found {fewest} passages for a query, and k is {k}; widen the search of {index}, or lower k")
    return rank_pairs(store, queries_QD.astype(np.float64), system, queries_P, rows_QC[queries_P, places_P], k)[0]


def _kept_index(
    faiss: Any, store: EmbeddingStore, system: Family, index: Index, folder: Path | None, report: Callable[[int], None]
) -> Any:
    """The index in `folder`, if it was made of these vectors; else a new one, and it is put there. Known by its embeddings,
    its settings, and the vectors of some of its rows: a system's name says too little."""
    if folder is None:
        return _build(faiss, store, system, index, report)
    made_by = _made_by(store, system, index)
    path = folder / f"{fingerprint(made_by)}.faiss"
    entry = path.with_suffix(".json")
    if not entry.exists():
        with replacing_file(path) as partial:
            faiss.write_index(_build(faiss, store, system, index, report), str(partial))
        write_json(entry, {"made_by": made_by, "sha256": checksum_file(path)})
    if not path.is_file() or read_json(entry).get("sha256") != checksum_file(path):
        raise ArtefactError(f"{path} is missing or damaged; remove {entry}, and the index is built again")
    return faiss.read_index(str(path))


def _made_by(store: EmbeddingStore, system: Family, index: Index) -> dict[str, Json]:
    sample = hashlib.sha256()
    for block in store.blocks(_BLOCK_ROWS):
        sample.update(_vectors(BlockVectors(block, _CPU, torch.float32, slice(0, None, 1024)), system).numpy().tobytes())
    settings: dict[str, Json] = {key: value for key, value in asdict(index).items() if key not in ("probes", "search_width")}
    kind = type(index).__name__
    return {"embeddings": store.ledger.fingerprint, "index": kind, "settings": settings, "vectors": sample.hexdigest()[:32]}


def _vectors(vectors: BlockVectors, system: Family) -> torch.Tensor:
    u_ND, v_ND = system.ends(vectors)
    return u_ND if u_ND is v_ND else torch.lerp(u_ND, v_ND, system.weights[0])


def _build(faiss: Any, store: EmbeddingStore, system: Family, index: Index, report: Callable[[int], None]) -> Any:
    name = {Flat: "Flat", Ivf: "IVF{lists},Flat", Hnsw: "HNSW{links},Flat"}[type(index)].format(**asdict(index))
    built = faiss.index_factory(store.layout.dimension, name, faiss.METRIC_INNER_PRODUCT)
    if isinstance(index, Hnsw):
        built.hnsw.efConstruction = index.build_width
    if isinstance(index, Ivf):
        step = max(1, len(store) // (64 * index.lists))  # faiss asks for at least 39 vectors a cluster
        every = (BlockVectors(block, _CPU, torch.float32, slice(0, None, step)) for block in store.blocks(_BLOCK_ROWS))
        built.train(np.concatenate([_vectors(vectors, system).numpy() for vectors in every]))
    for block in store.blocks(_BLOCK_ROWS):
        built.add(_vectors(BlockVectors(block, _CPU, torch.float32), system).numpy())
        report(block.first_row + block.num_rows)
    return built


def _index_on_gpus(faiss: Any, store: EmbeddingStore, system: Family, report: Callable[[int], None]) -> Any:
    """Never run. Each GPU takes neighbouring rows, added block by block: no copy of all vectors in the host's memory."""
    num_gpus, dimension = faiss.get_num_gpus(), store.layout.dimension
    cards = []
    for number in range(num_gpus):
        config = faiss.GpuIndexFlatConfig()
        config.device, config.useFloat16 = number, True
        cards.append(faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), dimension, config))
    for block in store.blocks(_BLOCK_ROWS):
        vectors_ND = _vectors(BlockVectors(block, _CPU, torch.float32), system).numpy()
        card_N = np.arange(block.first_row, block.first_row + block.num_rows) * num_gpus // len(store)
        for number in np.unique(card_N):
            cards[number].add(np.ascontiguousarray(vectors_ND[card_N == number]))
        report(block.first_row + block.num_rows)
    if num_gpus == 1:
        return cards[0]
    joined = faiss.IndexShards(dimension, True, True)  # threaded; rows count on from card to card
    for card in cards:
        joined.add_shard(card)
    return joined
