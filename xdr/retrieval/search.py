"""Exact search: a collection is read in blocks, and one pass answers many systems.

Screening multiplies queries and blocks in low precision and keeps the candidates that can reach the top k, with the error of
products as a margin. The remaining candidates are scored pair by pair in float64 on the CPU, each summed in the same order. So
a score depends on its query, its passage and its system only: not on block, shard, process, device, or on other systems of the
search. Equal vectors have equal scores, and ties are ordered by passage id.

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
from xdr.retrieval.family_blocks import FamilyBlock, centres_of, family_block
from xdr.retrieval.products import full_precision
from xdr.retrieval.rankings import Rankings
from xdr.retrieval.screening import CAPACITY, Screen, num_values
from xdr.vectors.embeddings import Block, Embeddings
from xdr.vectors.families import BlockVectors, Family

_MOST_BYTES = 5 << 29  # of candidates


def search(
    embeddings: Embeddings,
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
    """The top k passages of each query by inner product, for every system.

    `shards` restricts the search to these; `merge_rankings` joins the rankings of several processes. There are fewer than k
    ranks where the shards hold fewer rows. `screening` is the precision of the screening, by default float16 on a GPU and
    float32 elsewhere; it affects the speed only. `progress` is called with the number of rows so far. Where the candidates
    would not fit in memory, as for a ranking of the whole collection, tiles of queries are searched in several passes.
    """
    require_searchable(embeddings, queries_QD, families, k)
    on = torch.device(device)
    block_rows = block_rows or (2048 if on.type == "cpu" else 65536)
    num_rows = len(embeddings) if shards is None else embeddings.num_rows(shards)
    depth = min(k, num_rows)
    rankings = {
        system: Rankings(np.empty((len(queries_QD), depth), np.float32), np.empty((len(queries_QD), depth), np.int64))
        for family in families
        for system in family.systems
    }
    if depth == 0:  # this process has no shard
        return rankings
    tile_queries = tile_queries or min(512, -(-len(queries_QD) // _num_threads(on)))
    tiles = [slice(start, start + tile_queries) for start in range(0, len(queries_QD), tile_queries)]
    precision = screening or (torch.float16 if on.type == "cuda" else torch.float32)
    bytes_of_candidate = sum(16 + 4 * num_values(family) for family in families)
    passes = _passes(tiles, tile_queries * depth * CAPACITY * bytes_of_candidate)
    first = BlockVectors(next(embeddings.blocks(block_rows, shards)), on, torch.float32)
    centres = [centres_of(family, first) for family in families]

    def prepare(block: Block) -> list[FamilyBlock]:
        vectors = BlockVectors(block, on, torch.float32)
        return [family_block(family, vectors, block.first_row, at) for family, at in zip(families, centres, strict=True)]

    with full_precision(), worker_threads(on) as threads:
        for number, tiles_of_pass in enumerate(passes):
            screens = [
                [Screen(embeddings, queries_QD[tile], family, depth, on, precision, at) for tile in tiles_of_pass]
                for family, at in zip(families, centres, strict=True)
            ]
            running: list[Future[None]] = []
            rows_done = 0
            for block, prepared in _one_ahead(threads, prepare, embeddings.blocks(block_rows, shards)):
                before, running = (
                    running,
                    [
                        threads.submit(screen.add, of_family)
                        for of_family, screens_of_family in zip(prepared, screens, strict=True)
                        for screen in screens_of_family
                    ],
                )
                _wait_for(before)  # screens may be one block apart, so threads do not wait for each other
                rows_done += block.num_rows
                progress((number * num_rows + rows_done) // len(passes))
            _wait_for(running)
            _wait_for(
                threads.submit(screen.rank_into, [rankings[system] for system in family.systems], tile)
                for family, screens_of_family in zip(families, screens, strict=True)
                for tile, screen in zip(tiles_of_pass, screens_of_family, strict=True)
            )
    return rankings


def _passes(tiles: Sequence[slice], bytes_of_tile: int) -> list[Sequence[slice]]:
    """The tiles of each pass over the collection."""
    at_once = max(1, _MOST_BYTES // bytes_of_tile)
    return [tiles[start : start + at_once] for start in range(0, len(tiles), at_once)]


def _num_threads(device: torch.device) -> int:
    return torch.get_num_threads() if device.type == "cpu" else 1


@contextmanager
def worker_threads(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch has, each running torch on one. If torch spreads every operation over threads, they meet after
    each one: on cores that other programs use too, a search took ten times as long."""
    num_threads = _num_threads(device)
    alone = partial(torch.set_num_threads, 1) if device.type == "cpu" else None
    with ThreadPoolExecutor(num_threads, initializer=alone) as threads:
        try:
            yield threads
        finally:
            if device.type == "cpu":
                torch.set_num_threads(num_threads)


def _wait_for(calls: Iterable[Future[None]]) -> None:
    for call in list(calls):
        call.result()


def _one_ahead(
    threads: ThreadPoolExecutor, make: Callable[[Block], list[FamilyBlock]], blocks: Iterable[Block]
) -> Iterator[tuple[Block, list[FamilyBlock]]]:
    """Prepares a block while the block before it is screened."""
    pending: tuple[Block, Future[list[FamilyBlock]]] | None = None
    for block in blocks:
        before, pending = pending, (block, threads.submit(make, block))
        if before:
            yield before[0], before[1].result()
    if pending:
        yield pending[0], pending[1].result()


def require_searchable(embeddings: Embeddings, queries_QD: NDArray[np.floating], families: Sequence[Family], k: int) -> None:
    if not 1 <= k <= len(embeddings):
        raise UserError(f"k must be from 1 to {len(embeddings):,}, the number of passages, got {k:,}")
    if not len(queries_QD):
        raise UserError("queries must have at least one vector, got none")
    if queries_QD.shape[1] != embeddings.dimension:
        raise UserError(
            f"queries must have the dimension of {embeddings.name} ({embeddings.dimension}), got {queries_QD.shape[1]}. "
            "Encode both with one encoder"
        )
    if len(invalid := np.flatnonzero(~np.isfinite(queries_QD).all(axis=1))):
        raise UserError(f"queries must be finite, got NaN or infinity in {len(invalid):,}, the first at {invalid[0]}")
    names = [system for family in families for system in family.systems]
    if not names or len(set(names)) < len(names):
        raise UserError(f"families must have at least one system, each with its own name, got {', '.join(names) or 'none'}")
