"""Exact search from float16 shards beside faiss' flat index in memory, and twenty alphas in one pass beside one by one.

    python benchmarks/search.py [--passages 200000] [--dimension 384] [--queries 1000] [--k 100] [--rounds 5]

Passages in 200 topics with noise, each with the sum of 35 generated queries. Times are of one process, taken in turn, as
medians (least - most). Memory is the peak above that of a new process which has loaded all libraries by a small search.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARD_ROWS = 20_000
ALPHAS = {"sum": [round(0.002 * i, 4) for i in range(1, 21)], "mean": [round(0.05 * i, 2) for i in range(1, 21)]}
UNIT_ALPHAS = [round(0.1 * i, 1) for i in range(1, 9)]


def topics(dimension: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((200, dimension), dtype=np.float32)


def noisy(rng: np.random.Generator, centres_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors_ND = centres_ND + 0.7 * rng.standard_normal(centres_ND.shape, dtype=np.float32)
    return np.asarray(vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True), np.float32)


def make_store(folder: Path, num_passages: int, dimension: int) -> None:
    from xdr.vectors.embedding_writer import create_embeddings, writing_shard
    from xdr.vectors.layout import Layout

    num_shards = -(-num_passages // SHARD_ROWS)
    ledger = create_embeddings(folder, num_shards, Layout(dimension, "total"), {"made_by": "benchmark"})
    for shard in range(num_shards):
        rng = np.random.default_rng(shard)
        rows = range(shard * SHARD_ROWS, min(num_passages, (shard + 1) * SHARD_ROWS))
        passages_ND = noisy(rng, topics(dimension)[rng.integers(0, 200, len(rows))])
        sums_ND = 35 * (0.6 * passages_ND + 0.4 * noisy(rng, passages_ND))
        with writing_shard(ledger, shard, [str(row) for row in rows]) as writer:
            writer.put(slice(None), passages_ND, sums_ND[None], np.full((1, len(rows)), 35))


def make_queries(num_queries: int, dimension: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(10**6)
    return noisy(rng, topics(dimension)[rng.integers(0, 200, num_queries)])


def flat_index(store: Any, alpha: float | None = None) -> Any:
    """All vectors as float32; fused as the paper does where an alpha is given."""
    from xdr.retrieval.faiss_import import load_faiss

    faiss = load_faiss()
    index = faiss.IndexFlatIP(store.layout.dimension)
    for block in store.blocks(SHARD_ROWS):
        vectors_ND = block.passages().astype(np.float32)
        if alpha is not None:
            vectors_ND = (1 - alpha) * vectors_ND + alpha * block.generated(store.layout.select())[0]
        index.add(vectors_ND)
    return index


def timed(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):7.2f} ({min(values):.2f} - {max(values):.2f})"


def ratios(one: list[float], other: list[float]) -> list[float]:
    return [a / b for a, b in zip(one, other, strict=True)]


def measure_times(folder: Path, num_queries: int, k: int, rounds: int) -> None:
    from xdr.retrieval.search import search
    from xdr.vectors.embeddings import EmbeddingStore
    from xdr.vectors.families import baseline_family, fused_family
    from xdr.vectors.fusion import FUSIONS

    store = EmbeddingStore.open(folder)
    queries_QD, selection = make_queries(num_queries, store.layout.dimension), store.layout.select()
    index = flat_index(store)
    ours = search(store, queries_QD, [baseline_family()], k)["baseline"]
    _, rows_QK = index.search(queries_QD, k)
    same = np.mean([len(set(a) & set(b)) / k for a, b in zip(ours.rows_QK, rows_QK, strict=True)])
    seconds = timed(
        {
            "one search": lambda: search(store, queries_QD, [baseline_family()], k),
            "faiss flat": lambda: index.search(queries_QD, k),
            "sum, 20 alphas": lambda: search(store, queries_QD, [fused_family(FUSIONS["sum"], ALPHAS["sum"], selection)], k),
            "unit_mean, 8 alphas": lambda: search(
                store, queries_QD, [fused_family(FUSIONS["unit_mean"], UNIT_ALPHAS, selection)], k
            ),
            "mean, 20 alphas": lambda: search(store, queries_QD, [fused_family(FUSIONS["mean"], ALPHAS["mean"], selection)], k),
        },
        rounds,
    )
    one_by_one = timed(
        {
            "ours": lambda: [
                search(store, queries_QD, [fused_family(FUSIONS["sum"], [alpha], selection)], k) for alpha in ALPHAS["sum"]
            ],
            "faiss": lambda: [flat_index(store, alpha).search(queries_QD, k) for alpha in ALPHAS["sum"]],
        },
        max(1, rounds // 2),
    )
    for name, values in seconds.items():
        print(f"{name:28s}{shown(values)} s")
    print(f"{'sum, one alpha at a time':28s}{shown(one_by_one['ours'])} s")
    print(f"{'the same, fuse+build+faiss':28s}{shown(one_by_one['faiss'])} s")
    print(f"{'one search / faiss':28s}{shown(ratios(seconds['one search'], seconds['faiss flat']))}   (wanted: 1.2 at most)")
    for fusion in ("sum", "mean"):
        ratio = ratios(seconds[f"{fusion}, 20 alphas"], seconds["one search"])
        print(f"{fusion + ', 20 alphas / one search':28s}{shown(ratio)}   (wanted: 4 at most)")
    gain = statistics.median(one_by_one["ours"]) / statistics.median(seconds["sum, 20 alphas"])
    print(f"{'one by one / one pass':28s}{gain:7.2f}   (wanted: 5 at least)")
    print(f"{'the same k as faiss':28s}{same:9.4f} of the passages")


def measure_memory(folder: Path, num_queries: int, k: int, way: str) -> None:
    from xdr.retrieval.search import search
    from xdr.vectors.embeddings import EmbeddingStore
    from xdr.vectors.families import baseline_family, fused_family
    from xdr.vectors.fusion import FUSIONS

    def run(folder: Path, num_queries: int, k: int) -> None:
        store = EmbeddingStore.open(folder)
        queries_QD = make_queries(num_queries, store.layout.dimension)
        if way == "faiss flat":
            flat_index(store).search(queries_QD, k)
        elif way == "one search":
            search(store, queries_QD, [baseline_family()], k)
        else:
            search(store, queries_QD, [fused_family(FUSIONS["sum"], ALPHAS["sum"], store.layout.select())], k)

    with tempfile.TemporaryDirectory() as small:
        make_store(Path(small), 1000, 64)
        run(Path(small), 8, 10)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = _kilobytes("VmRSS")
    run(folder, num_queries, k)
    print((_kilobytes("VmHWM") - before) / 1024)


def _kilobytes(field: str) -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("passages", 200_000), ("dimension", 384), ("queries", 1_000), ("k", 100), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        measure_memory(given.folder, given.queries, given.k, given.memory)
        return
    print(f"{platform.platform()}, Python {platform.python_version()}, {platform.processor() or platform.machine()}")
    sizes = f"{given.passages:,} passages, {given.dimension} dimensions, {given.queries:,} queries, k {given.k}"
    print(f"{sizes}, {given.rounds} rounds, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder), given.passages, given.dimension)
        again = [sys.executable, __file__, "--folder", folder, "--queries", str(given.queries), "--k", str(given.k), "--memory"]
        megabytes = {
            way: float(subprocess.run([*again, way], check=True, capture_output=True, text=True).stdout)
            for way in ("faiss flat", "one search", "20 alphas")
        }
        for way, peak in megabytes.items():
            print(
                f"{'memory, ' + way:28s}{peak:7.0f} MB, {peak / megabytes['faiss flat']:.3f} of faiss'   (wanted: 0.1 at most)"
            )
        measure_times(Path(folder), given.queries, given.k, given.rounds)


if __name__ == "__main__":
    main()
