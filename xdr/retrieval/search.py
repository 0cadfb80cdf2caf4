"""Exact search: a collection streams by in blocks, and many systems are answered in one pass.

Two steps. Screening multiplies queries and blocks in low precision and keeps what could be among the k best, with the error of
the products as a margin. The few candidates that are left are scored pair by pair in float64, on the CPU, summed in one order.
A score is so a function of its query, its passage and its system alone: it does not depend on block, shard, process, device,
or on which other systems were searched along. Equal vectors have equal scores, and ties are broken by passage id.

Q queries, D dimensions, K ranks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.errors import UserError
from xdr.retrieval.embeddings import Block, Embeddings
from xdr.retrieval.families import BlockVectors, Family
from xdr.retrieval.products import full_precision
from xdr.retrieval.rankings import Rankings
from xdr.retrieval.screening import CAPACITY, Contest, Offer, centres_of, make_offer

_MOST_CANDIDATES = 1 << 27  # 20 bytes each


def search(
    store: Embeddings,
    queries_QD: NDArray[np.floating],
    families: Sequence[Family],
    k: int,
    *,
    device: str = "cpu",
    shards: Sequence[int] | None = None,
    block_rows: int | None = None,
    tile_queries: int | None = None,
    screening: torch.dtype | None = None,
    progress: Callable[[int], None] = lambda num_rows: None,
) -> dict[str, Rankings]:
    """The k best passages of each query for every system, by inner product. `shards`: only these, as one of several processes
    does whose rankings `merge_rankings` joins; there are fewer than k ranks where they hold fewer rows. `screening`: by default
    float16 on a GPU and float32 elsewhere; it decides the speed alone. `progress` is called with the number of rows so far.
    Queries that were fused differently can be stacked, and share the pass. Where candidates would fill the memory, as those of
    a ranking of the whole collection, queries take turns, a pass each."""
    require_searchable(store, queries_QD, families, k)
    on = torch.device(device)
    block_rows = block_rows or (2048 if on.type == "cpu" else 65536)
    store_rows = len(store) if shards is None else store.num_rows(shards)
    depth = min(k, store_rows)
    tile_queries = tile_queries or min(512, -(-len(queries_QD) // _num_threads(on)))
    tiles = [slice(start, start + tile_queries) for start in range(0, len(queries_QD), tile_queries)]
    precision = screening or (torch.float16 if on.type == "cuda" else torch.float32)
    shape = len(queries_QD), depth
    found = {s: Rankings(np.empty(shape, np.float32), np.empty(shape, np.int64)) for family in families for s in family.systems}
    if depth == 0:  # no shard is left for this process
        return found
    turns = _turns(tiles, tile_queries * depth * CAPACITY * len(families))
    first = BlockVectors(next(store.blocks(block_rows, shards)), on, torch.float32)
    centres = [centres_of(family, first) for family in families]

    def offers_of(block: Block) -> list[Offer]:
        vectors = BlockVectors(block, on, torch.float32)
        return [make_offer(family, vectors, block.first_row, its) for family, its in zip(families, centres, strict=True)]

    with full_precision(), _threads(on) as threads:
        for turn, its_tiles in enumerate(turns):
            contests = [
                [Contest(store, queries_QD[tile], family, depth, on, precision) for tile in its_tiles] for family in families
            ]
            entering: list[Future[None]] = []
            num_rows = 0
            for block, offers in _one_ahead(threads, offers_of, store.blocks(block_rows, shards)):
                before = entering
                entering = [
                    threads.submit(contest.enter, offer)
                    for offer, of_family in zip(offers, contests, strict=True)
                    for contest in of_family
                ]
                _wait_for(before)  # contests may be a block apart, so that no thread waits for another
                num_rows += block.num_rows
                progress((turn * store_rows + num_rows) // len(turns))
            _wait_for(entering)
            _wait_for(
                [
                    threads.submit(contest.rank_into, [found[system] for system in family.systems], tile)
                    for family, of_family in zip(families, contests, strict=True)
                    for tile, contest in zip(its_tiles, of_family, strict=True)
                ]
            )
    return found


def _turns(tiles: Sequence[slice], candidates_of_tile: int) -> list[Sequence[slice]]:
    at_once = max(1, _MOST_CANDIDATES // candidates_of_tile)
    return [tiles[start : start + at_once] for start in range(0, len(tiles), at_once)]


def _num_threads(device: torch.device) -> int:
    return torch.get_num_threads() if device.type == "cpu" else 1


@contextmanager
def _threads(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """As many as torch's, each call on one. Where torch spreads every operation over threads, they meet at each, and on cores
    that other programs use as well a search took ten times as long."""
    num_threads = _num_threads(device)
    alone = partial(torch.set_num_threads, 1) if device.type == "cpu" else None
    with ThreadPoolExecutor(num_threads, initializer=alone) as threads:
        try:
            yield threads
        finally:
            if device.type == "cpu":
                torch.set_num_threads(num_threads)


def _wait_for(calls: Iterable[Future[None]]) -> None:
    for call in calls:
        call.result()


def _one_ahead(
    threads: ThreadPoolExecutor, make: Callable[[Block], list[Offer]], blocks: Iterable[Block]
) -> Iterator[tuple[Block, list[Offer]]]:
    """A block is made ready while contests meet the one before it."""
    making: tuple[Block, Future[list[Offer]]] | None = None
    for block in blocks:
        before, making = making, (block, threads.submit(make, block))
        if before:
            yield before[0], before[1].result()
    if making:
        yield making[0], making[1].result()


def require_searchable(store: Embeddings, queries_QD: NDArray[np.floating], families: Sequence[Family], k: int) -> None:
    if not 1 <= k <= len(store):
        raise UserError(f"k must be from 1 to {len(store):,}, the number of passages, got {k:,}")
    if not len(queries_QD):
        raise UserError("queries must have at least one vector, got none")
    if queries_QD.shape[1] != store.dimension:
        raise UserError(
            f"queries must have the dimension of {store.name} ({store.dimension}), got {queries_QD.shape[1]}. "
            "Encode both with one encoder"
        )
    if len(invalid := np.flatnonzero(~np.isfinite(queries_QD).all(axis=1))):
        raise UserError(f"queries must be finite, got NaN or infinity in {len(invalid):,}, the first at {invalid[0]}")
    names = [system for family in families for system in family.systems]
    if not names or len(set(names)) < len(names):
        raise UserError(f"families must have at least one system, each with its own name, got {', '.join(names) or 'none'}")
