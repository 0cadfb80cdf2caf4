"""Exact search: a collection streams by in blocks, and many systems are answered in one pass.

Two steps. Screening multiplies queries and blocks in low precision and keeps what could be among the k best, with the error of
the products as a margin. The few candidates that are left are scored pair by pair in float64, on the CPU, summed in one order.
A score is so a function of its query, its passage and its system alone: it does not depend on block, shard, process, device,
or on which other systems were searched along. Equal vectors have equal scores, and ties are broken by passage id.

Q queries, T of them in a tile, N rows of a block, D dimensions, A systems of a family, C candidates, K ranks, P pairs of query
and row.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.errors import UserError
from xdr.retrieval.embeddings import Block, EmbeddingStore, Rows, Selection
from xdr.retrieval.rankings import Rankings, best

_RESCORED_ROWS = 1024
_RESCORED_PAIRS = 128  # their vectors stay in the processor's cache
_CROWD = 4096
_FLOAT16_SAFE = 60_000
_LOWEST = torch.finfo(torch.float32).min  # an infinity would make NaN of a difference


class BlockVectors:
    """A block's vectors as tensors, or those of some of its rows; companions are read and summed once a selection."""

    def __init__(self, block: Block, device: torch.device, dtype: torch.dtype, rows: Rows = slice(None)) -> None:
        self._block, self._rows, self._device, self._dtype = block, rows, device, dtype
        self._companions: dict[Selection, tuple[Tensor, Tensor]] = {}

    @cached_property
    def passages(self) -> Tensor:
        return torch.from_numpy(self._block.passages[self._rows]).to(self._device).to(self._dtype)

    def companions(self, selection: Selection) -> tuple[Tensor, Tensor]:
        """Their sum and their number, of each row."""
        if selection not in self._companions:
            sums_ND, counts_N = self._block.companions(selection, self._rows)
            on_device = torch.from_numpy(sums_ND).to(self._device).to(self._dtype), torch.from_numpy(counts_N).to(self._device)
            self._companions[selection] = on_device
        return self._companions[selection]


@dataclass(frozen=True, slots=True)
class Family:
    """Systems whose passage vectors lie on one line: u at weight 0, v at weight 1, (1 - w) u + w v at a system's weight. Their
    scores are linear in the weight, so that a family costs two products, however many its systems; one, if it has one system.
    `ends` gives u and v, row by row: the vectors of a row do not depend on its neighbours."""

    systems: tuple[str, ...]
    weights: tuple[float, ...]
    ends: Callable[[BlockVectors], tuple[Tensor, Tensor]]

    @property
    def extremes(self) -> tuple[float, ...]:
        """The least and the greatest weight, or the only one."""
        return tuple(sorted({min(self.weights), max(self.weights)}))


def search(
    store: EmbeddingStore,
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
    Queries that were fused differently can be stacked, and share the pass."""
    refuse_unless_searchable(store, queries_QD, families, k)
    on = torch.device(device)
    block_rows = block_rows or (1024 if on.type == "cpu" else 65536)
    depth = min(k, len(store) if shards is None else store.num_rows(shards))
    tile_queries = tile_queries or min(512, -(-len(queries_QD) // _num_threads(on)))
    tiles = [slice(start, start + tile_queries) for start in range(0, len(queries_QD), tile_queries)]
    precision = screening or (torch.float16 if on.type == "cuda" else torch.float32)
    contests = [[_Contest(store, queries_QD[tile], family, depth, on, precision) for tile in tiles] for family in families]
    num_rows = 0
    with _full_precision(), _side_by_side(on) as do_all:
        for block in store.blocks(block_rows, shards):
            vectors = BlockVectors(block, on, torch.float32)
            for family, of_family in zip(families, contests, strict=True):
                offer = _offer(family, vectors, block.first_row)
                for rows in _growing(block.num_rows, max(2 * depth, 256, num_rows)):
                    do_all(partial(contest.enter, offer, rows) for contest in of_family)
            num_rows += block.num_rows
            progress(num_rows)
        shape = len(queries_QD), depth
        found = {
            s: Rankings(np.empty(shape, np.float32), np.empty(shape, np.int64)) for family in families for s in family.systems
        }
        do_all(
            partial(contest.rank_into, [found[system] for system in family.systems], tile)
            for family, of_family in zip(families, contests, strict=True)
            for tile, contest in zip(tiles, of_family, strict=True)
        )
    return found


def exact_products(
    store: EmbeddingStore,
    queries_QD: NDArray[np.float64],
    family: Family,
    queries_P: NDArray[np.int64],
    rows_P: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(2, P): q.u and q.v of each pair. `einsum` over contiguous rows sums each pair in the same order, wherever it stands."""
    products_2P = np.empty((2, len(rows_P)))
    order_P = np.argsort(rows_P, kind="stable")
    sorted_P = rows_P[order_P]
    for block in store.blocks(_RESCORED_ROWS):
        first, last = np.searchsorted(sorted_P, (block.first_row, block.first_row + block.num_rows))
        if first == last:
            continue
        rows, places_P = np.unique(sorted_P[first:last] - block.first_row, return_inverse=True)
        ends = family.ends(BlockVectors(block, torch.device("cpu"), torch.float64, rows))
        for start in range(0, last - first, _RESCORED_PAIRS):
            places, pairs = places_P[start : start + _RESCORED_PAIRS], order_P[first:last][start : start + _RESCORED_PAIRS]
            asked_PD = queries_QD[queries_P[pairs]]
            for i, end_ND in enumerate(ends[:1] if ends[0] is ends[1] else ends):
                products_2P[i, pairs] = np.einsum("pd,pd->p", asked_PD, end_ND.numpy()[places])
        if ends[0] is ends[1]:
            products_2P[1, order_P[first:last]] = products_2P[0, order_P[first:last]]
    return products_2P


def score(products_2P: NDArray[np.float64], weight: float) -> NDArray[np.float32]:
    """The score of a system, from its family's products."""
    scores_P: NDArray[np.float32] = ((1 - weight) * products_2P[0] + weight * products_2P[1]).astype(np.float32)
    return scores_P


def rank_pairs(
    store: EmbeddingStore,
    queries_QD: NDArray[np.float64],
    family: Family,
    queries_P: NDArray[np.int64],
    rows_P: NDArray[np.int64],
    k: int,
) -> list[Rankings]:
    """The k best of the given pairs, for each system. Pairs come in the order of their queries, at least k for each."""
    products_2P = exact_products(store, queries_QD, family, queries_P, rows_P)
    places_P, width = _places(torch.from_numpy(queries_P), len(queries_QD))
    rows_QC = np.zeros((len(queries_QD), width), np.int64)
    rows_QC[queries_P, places_P.numpy()] = rows_P
    found = []
    for weight in family.weights:
        scores_QC = np.full(rows_QC.shape, -np.inf, np.float32)
        scores_QC[queries_P, places_P.numpy()] = score(products_2P, weight)
        found.append(best(scores_QC, rows_QC, k, store.ids))
    return found


class _Offer(NamedTuple):
    """A block as a family sees it: its vectors at the least and at the greatest weight."""

    first_row: int
    extremes: list[Tensor]
    longest: float
    """No row's parts are longer, taken together."""


def _offer(family: Family, vectors: BlockVectors, first_row: int) -> _Offer:
    u_ND, v_ND = family.ends(vectors)
    if u_ND is v_ND:
        return _Offer(first_row, [u_ND], float(u_ND.norm(dim=1).max()))
    u_N, v_N = u_ND.norm(dim=1), v_ND.norm(dim=1)
    extremes = [torch.lerp(u_ND, v_ND, weight) for weight in family.extremes]
    return _Offer(first_row, extremes, max(float(((1 - w) * u_N + w * v_N).max()) for w in family.extremes))


class _Candidates(NamedTuple):
    """Pairs that could be among the k best, and their queries' products with each extreme."""

    queries_P: Tensor
    rows_P: Tensor
    products_P: list[Tensor]

    def those(self, wanted: Tensor | slice) -> "_Candidates":
        return _Candidates(self.queries_P[wanted], self.rows_P[wanted], [values_P[wanted] for values_P in self.products_P])


class _Pool:
    """Candidates in memory that is taken once: what stays would come to lie between blocks that go, and pin their memory."""

    def __init__(self, capacity: int, num_extremes: int, device: torch.device) -> None:
        self._size = 0
        self._all = self._empty(capacity, num_extremes, device)

    @staticmethod
    def _empty(capacity: int, num_extremes: int, device: torch.device) -> _Candidates:
        queries_P, rows_P = torch.empty((2, capacity), dtype=torch.int64, device=device)
        return _Candidates(queries_P, rows_P, list(torch.empty((num_extremes, capacity), device=device)))

    def add(self, new: _Candidates) -> None:
        start, self._size = self._size, self._size + len(new.rows_P)
        if self._size > len(self._all.rows_P):
            before = self._all
            self._all = self._empty(2 * self._size, len(before.products_P), before.rows_P.device)
            self._write(before.those(slice(0, start)), 0)
        self._write(new, start)

    def replace(self, candidates: _Candidates) -> None:
        self._size = 0
        self.add(candidates)

    def in_order_of_queries(self) -> _Candidates:
        return self._all.those(torch.argsort(self._all.queries_P[: self._size], stable=True))

    def _write(self, candidates: _Candidates, start: int) -> None:
        into = self._all.those(slice(start, start + len(candidates.rows_P)))
        into.queries_P.copy_(candidates.queries_P)
        into.rows_P.copy_(candidates.rows_P)
        for mine_P, theirs_P in zip(into.products_P, candidates.products_P, strict=True):
            mine_P.copy_(theirs_P)


class _Contest:
    """A tile of queries and a family: who is still in it."""

    def __init__(
        self,
        store: EmbeddingStore,
        queries_TD: NDArray[np.floating],
        family: Family,
        k: int,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        self._store, self._family, self._k, self._precision = store, family, k, precision
        self._exact_TD = queries_TD.astype(np.float64)
        norms_T1 = np.linalg.norm(self._exact_TD, axis=1, keepdims=True)
        units_TD = self._exact_TD / np.where(norms_T1 > 0, norms_T1, 1)  # a query's length orders nothing
        self._units_TD = torch.from_numpy(units_TD).to(device, torch.float32)
        least, greatest = family.extremes[0], family.extremes[-1]
        self._positions = [(weight - least) / ((greatest - least) or 1) for weight in family.weights]
        self._thresholds_TA = torch.full((len(queries_TD), len(family.weights)), _LOWEST, device=device)
        self._bars_T = [self._thresholds_TA[:, 0] for _ in family.extremes]
        self._multiply = _multiplication(self._units_TD)
        self._pool = _Pool(3 * k * len(queries_TD), len(family.extremes), device)
        self._num_new = 0
        self._longest = 0.0

    def enter(self, offer: _Offer, rows: slice) -> None:
        """Rows of a block: those that a system might rank among the k best become candidates. Over a range of weights a
        passage's lead over a line is greatest at one of the two ends; so only these are looked at for every passage."""
        self._longest = max(self._longest, offer.longest)
        precision = self._precision if offer.longest < _FLOAT16_SAFE else torch.float32
        products_NT = [self._product(extreme_ND[rows].to(precision)) for extreme_ND in offer.extremes]
        flat_P = _reaching_a_bar(products_NT, self._bars_T)
        products_P = [of_extreme_NT.view(-1)[flat_P] for of_extreme_NT in products_NT]
        rows_P, queries_P = flat_P // len(self._units_TD), flat_P % len(self._units_TD)
        new = _Candidates(queries_P, rows_P + (offer.first_row + rows.start), products_P)
        new = new.those(self._reaching(new)) if len(self._positions) > 1 else new
        self._pool.add(new)
        self._num_new += len(new.rows_P)
        if self._num_new > self._k * len(self._units_TD) // 2:
            self._narrow()

    def _product(self, vectors_ND: Tensor) -> Tensor:
        """Summed in float32, whatever the precision of the factors."""
        if vectors_ND.is_cuda and vectors_ND.dtype != torch.float32:
            return torch.mm(vectors_ND, self._units_TD.to(vectors_ND.dtype).T, out_dtype=torch.float32)
        if vectors_ND.dtype == torch.float32:
            return self._multiply(vectors_ND)
        return vectors_ND.float() @ self._units_TD.to(vectors_ND.dtype).float().T

    def rank_into(self, found: Sequence[Rankings], tile: slice) -> None:
        """Writes the k best for each system of the family where the tile's queries are."""
        kept = self._narrow()
        pairs = kept.queries_P.cpu().numpy(), kept.rows_P.cpu().numpy()
        for into, best_of_tile in zip(
            found, rank_pairs(self._store, self._exact_TD, self._family, *pairs, self._k), strict=True
        ):
            into.scores_QK[tile], into.rows_QK[tile] = best_of_tile.scores_QK, best_of_tile.rows_QK

    def _reaching(self, candidates: _Candidates) -> Tensor:
        reaching_P = torch.zeros_like(candidates.rows_P, dtype=torch.bool)
        for system, position in enumerate(self._positions):
            scores_P = _between(candidates.products_P, position)
            reaching_P |= scores_P >= self._thresholds_TA[:, system][candidates.queries_P]
        return reaching_P

    def _narrow(self) -> _Candidates:
        """New thresholds, and only those candidates that reach one; the margin covers all errors of the products."""
        kept = self._pool.in_order_of_queries()
        places_P, width = _places(kept.queries_P, len(self._units_TD))
        if width >= self._k:
            grids_TC = [_grid(kept.queries_P, places_P, values_P, (len(self._units_TD), width)) for values_P in kept.products_P]
            margin = 2 * _error(self._precision, self._units_TD.shape[1], self._longest)
            for system, position in enumerate(self._positions):
                self._thresholds_TA[:, system] = _kth_best(_between(grids_TC, position), self._k) - margin
            self._bars_T = _line_below(self._thresholds_TA, self._positions, len(self._bars_T))
            kept = kept.those(self._reaching(kept))
            crowd = max(_CROWD, 4 * self._k * len(self._positions))
            if int(torch.bincount(kept.queries_P).max()) > crowd:
                kept = self._without_ties(kept)
        self._pool.replace(kept)
        self._num_new = 0
        return kept

    def _without_ties(self, kept: _Candidates) -> _Candidates:
        """Where thousands of passages are as good as equal, no margin tells them apart: they are ranked as they will be in the
        end, and only the best stay."""
        queries_P, rows_P = kept.queries_P.cpu().numpy(), kept.rows_P.cpu().numpy()
        keys_P = queries_P * len(self._store) + rows_P
        ranked = rank_pairs(self._store, self._exact_TD, self._family, queries_P, rows_P, self._k)
        best_keys = [np.arange(len(self._exact_TD))[:, None] * len(self._store) + rankings.rows_QK for rankings in ranked]
        return kept.those(torch.from_numpy(np.isin(keys_P, np.concatenate(best_keys))).to(kept.rows_P.device))


def _places(queries_P: Tensor, num_queries: int) -> tuple[Tensor, int]:
    """The place of each pair among those of its query, which stand together; and the greatest number of them."""
    sizes_T = torch.bincount(queries_P, minlength=num_queries)
    firsts_T = sizes_T.cumsum(0) - sizes_T
    return torch.arange(len(queries_P), device=queries_P.device) - firsts_T[queries_P], int(sizes_T.max())


def _grid(queries_P: Tensor, places_P: Tensor, values_P: Tensor, shape: tuple[int, int]) -> Tensor:
    grid_TC = torch.full(shape, _LOWEST, device=values_P.device)
    grid_TC[queries_P, places_P] = values_P
    return grid_TC


def _between(extremes: Sequence[Tensor], position: float) -> Tensor:
    return extremes[0] if len(extremes) == 1 else torch.lerp(extremes[0], extremes[1], position)


def _kth_best(scores_TC: Tensor, k: int) -> Tensor:
    if scores_TC.device.type == "cpu":  # numpy's selection is vectorised: an eighth of the time
        return torch.from_numpy(np.partition(scores_TC.numpy(), -k, axis=1)[:, -k].copy())
    return scores_TC.topk(k, dim=1).values[:, -1]


def _line_below(thresholds_TA: Tensor, positions: Sequence[float], num_extremes: int) -> list[Tensor]:
    """The values at positions 0 and 1 of a line that is above no threshold, and as high as can be amid the positions: the edge
    of the thresholds' lower hull that lies there."""
    if num_extremes == 1:
        return [thresholds_TA.min(dim=1).values]
    middles = sorted(set(positions))
    middle = (middles[len(middles) // 2 - 1] + middles[len(middles) // 2]) / 2
    left = [a for a, position in enumerate(positions) if position < middle]
    right = [a for a, position in enumerate(positions) if position > middle]
    at_A = torch.tensor(positions, dtype=torch.float64, device=thresholds_TA.device)
    from_TL1, to_T1R = thresholds_TA[:, left].double()[:, :, None], thresholds_TA[:, right].double()[:, None, :]
    slopes_TLR = (to_T1R - from_TL1) / (at_A[right][None, :] - at_A[left][:, None])
    lows_TLR = from_TL1 - slopes_TLR * at_A[left][:, None]
    lowest_T1 = (lows_TLR + slopes_TLR * middle).flatten(1).argmin(dim=1, keepdim=True)
    low_T1, slope_T1 = (values_TLR.flatten(1).gather(1, lowest_T1) for values_TLR in (lows_TLR, slopes_TLR))
    return [low_T1[:, 0].float(), (low_T1 + slope_T1)[:, 0].float()]


def _multiplication(units_TD: Tensor) -> Callable[[Tensor], Tensor]:
    """From vectors to their products with the queries, (N, T). On a CPU, oneDNN with weights packed once can take half the time
    of torch's own product. Its operators are private to torch: they are used where they are found, and right."""

    def plain(vectors_ND: Tensor) -> Tensor:
        return vectors_ND @ units_TD.T

    if units_TD.device.type != "cpu":
        return plain
    operators = torch.ops.mkldnn
    try:
        packed = operators._reorder_linear_weight(units_TD, 4096)

        def prepacked(vectors_ND: Tensor) -> Tensor:
            products_NT: Tensor = operators._linear_pointwise(vectors_ND, packed, None, "none", [], "")
            return products_NT

        right = float((prepacked(units_TD) - plain(units_TD)).abs().max()) <= 2 * _error(torch.float32, units_TD.shape[1], 1.0)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return plain
    return prepacked if right else plain


def _num_threads(device: torch.device) -> int:
    return torch.get_num_threads() if device.type == "cpu" else 1


@contextmanager
def _side_by_side(device: torch.device) -> Iterator[Callable[[Iterable[Callable[[], None]]], None]]:
    """Runs calls on torch's number of threads, each call on one: threads then meet once a block. Where torch spreads every
    operation over threads, they meet at each, and on cores that other programs use as well a search took ten times as long."""
    num_threads = _num_threads(device)
    alone = partial(torch.set_num_threads, 1) if device.type == "cpu" else None
    with ThreadPoolExecutor(num_threads, initializer=alone) as pool:

        def do_all(calls: Iterable[Callable[[], None]]) -> None:
            for done in [pool.submit(call) for call in calls]:
                done.result()

        try:
            yield do_all
        finally:
            if device.type == "cpu":
                torch.set_num_threads(num_threads)


@contextmanager
def _full_precision() -> Iterator[None]:
    """The margin is that of float32; a looser setting, made for training, rests meanwhile."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _error(precision: torch.dtype, dimension: int, longest: float) -> float:
    """A bound on how far a product with a query of length 1 is from the true one: of each factor's rounding, and of a sum of
    `dimension` float32 terms in any order, truncated."""
    summing = (dimension + 16) * 2.0**-23 * longest
    if precision == torch.float32:
        return summing
    return summing + 2.0**-10 * longest + math.sqrt(dimension) * 2.0**-24 * (1 + longest)


def _reaching_a_bar(products_NT: Sequence[Tensor], bars_T: Sequence[Tensor]) -> Tensor:
    """Flat positions where a product with an extreme is not below its bar. On a CPU numpy is several times faster."""
    on_cpu = products_NT[0].device.type == "cpu"
    reaching_NT: Any = False
    for product_NT, bar_T in zip(products_NT, bars_T, strict=True):
        reaching_NT |= product_NT.numpy() >= bar_T.numpy() if on_cpu else product_NT >= bar_T
    return torch.from_numpy(np.flatnonzero(reaching_NT)) if on_cpu else reaching_NT.view(-1).nonzero().view(-1)


def _growing(num_rows: int, first: int) -> Iterator[slice]:
    """Slices that double: at the start of a search each is met with the thresholds of as many rows as it holds."""
    start = 0
    while start < num_rows:
        stop = min(num_rows, start + max(first, start))
        yield slice(start, stop)
        start = stop


def refuse_unless_searchable(
    store: EmbeddingStore, queries_QD: NDArray[np.floating], families: Sequence[Family], k: int
) -> None:
    if not 1 <= k <= len(store):
        raise UserError(
            f"a ranking has at least 1 passage and at most the collection's {len(store):,}, and {k:,} were asked for"
        )
    if not len(queries_QD):
        raise UserError("a search needs at least one query, and none came")
    if queries_QD.shape[1] != store.layout.dimension:
        raise UserError(
            f"queries and passages have vectors of one dimension; the queries' is {queries_QD.shape[1]}, and "
            f"{store.ledger.folder} holds {store.layout.dimension}. Encode both with one checkpoint"
        )
    if len(bad := np.flatnonzero(~np.isfinite(queries_QD).all(axis=1))):
        raise UserError(f"the vectors of {len(bad):,} queries hold NaN or infinity, the first is query number {bad[0]}")
    names = [system for family in families for system in family.systems]
    if not names or len(set(names)) < len(names):
        raise UserError(f"systems have names of their own, and there is at least one; {', '.join(names) or 'none'} came")
