"""Exact search on a card: equal to the CPU's, and as fast as a plain product.

Q queries, P passages, K ranks, D dimensions.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu_parts import Figure, Machine
from benchmarks.gpu_parts.measuring import in_turn, peak_memory, ratio, spread
from benchmarks.search import ALPHAS, make_queries, make_store
from xdr.retrieval.rankings import Rankings
from xdr.retrieval.search import search
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family, baseline_family, fused_family
from xdr.vectors.fusion import FUSIONS
from xdr.vectors.layout import Selection


def equality(machine: Machine) -> Iterator[Figure]:
    """Also with an index of one row a passage: the same ids in the same order, and the same scores."""
    num_passages, dimension, num_queries = (2_000, 64, 20) if machine.tiny else (50_000, 384, 500)
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder), num_passages, dimension)
        store, queries_QD = EmbeddingStore.open(Path(folder)), make_queries(num_queries, dimension)
        for name, family in families(store.layout.select()).items():
            on_cpu = search(store, queries_QD, [family], 100, device="cpu")
            on_card = search(store, queries_QD, [family], 100, device=machine.device)
            same = sum(_same(on_cpu[system], on_card[system]) for system in family.systems)
            rankings = num_queries * len(family.systems)
            yield Figure(f"{name}: rankings equal to the CPU's", f"{same:,} of {rankings:,}", "all", same == rankings)


def families(selection: Selection) -> dict[str, Family]:
    return {
        "baseline": baseline_family(),
        "sum, 20 alphas": fused_family(FUSIONS["sum"], ALPHAS["sum"], selection),
        "unit_mean, 8 alphas": fused_family(FUSIONS["unit_mean"], [0.1 * i for i in range(1, 9)], selection),
    }


def _same(one: Rankings, other: Rankings) -> int:
    """The number of queries with equal rows and scores."""
    return int(((one.rows_QK == other.rows_QK) & (one.scores_QK == other.scores_QK)).all(axis=1).sum())


def speed(machine: Machine) -> Iterator[Figure]:
    """From shards on a disk that the system has in its memory, beside one product of vectors that are on the card."""
    num_passages, dimension, num_queries = (20_000, 64, 50) if machine.tiny else (1_000_000, 768, 2_000)
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder), num_passages, dimension)
        store, queries_QD = EmbeddingStore.open(Path(folder)), make_queries(num_queries, dimension)
        passages_PD = torch.cat([torch.from_numpy(block.passages()) for block in store.blocks(20_000)])
        half = torch.float16 if machine.device == "cuda" else torch.float32
        on_host = passages_PD.to(half).pin_memory() if machine.device == "cuda" else passages_PD.to(half)
        queries = torch.from_numpy(queries_QD).to(machine.device, half)

        def plain() -> None:
            passages = on_host.to(machine.device, non_blocking=True)
            for part in torch.split(queries, 250):
                torch.topk(part @ passages.T, 100)

        alphas = families(store.layout.select())["sum, 20 alphas"]
        seconds = in_turn(
            {
                "plain": plain,
                "one": lambda: search(store, queries_QD, [baseline_family()], 100, device=machine.device),
                "twenty": lambda: search(store, queries_QD, [alphas], 100, device=machine.device),
            },
            machine.device,
            rounds=3,
        )
        yield Figure(f"copy, product and topk of {num_passages:,} x {dimension}", f"{spread(seconds['plain'])} s")
        yield Figure("xdr's search from shards", f"{spread(seconds['one'])} s")
        slower = [one / plain for one, plain in zip(seconds["one"], seconds["plain"], strict=True)]
        median = float(np.median(slower))
        yield Figure("xdr's time, as a multiple of the plain product", spread(slower), "at most 1.2", median <= 1.2)
        yield Figure("twenty alphas in one pass", f"{spread(seconds['twenty'])} s")
        twenty_times = [20 * one for one in seconds["one"]]
        yield ratio("twenty searches, as a multiple of the one pass", twenty_times, seconds["twenty"], 5)
        memory = peak_memory(lambda: search(store, queries_QD, [alphas], 100, device=machine.device), machine.device)
        yield Figure("memory of twenty alphas in one pass", memory)


def with_faiss(machine: Machine) -> Iterator[Figure]:
    from xdr.retrieval.index_search import index_search
    from xdr.retrieval.indexes import Flat

    num_passages, dimension, num_queries = (2_000, 64, 20) if machine.tiny else (200_000, 384, 1_000)
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder), num_passages, dimension)
        store, queries_QD = EmbeddingStore.open(Path(folder)), make_queries(num_queries, dimension)
        exact = search(store, queries_QD, [baseline_family()], 100, device=machine.device)["baseline"]
        found = index_search(store, queries_QD, [baseline_family()], 100, index=Flat(), device=machine.device)["baseline"]
        shared = float(np.mean([len(set(a) & set(b)) / 100 for a, b in zip(exact.rows_QK, found.rows_QK, strict=True)]))
        yield Figure(
            "passages that faiss' flat index and xdr's search share", f"{shared:.4f}", "at least .999", shared >= 0.999
        )
