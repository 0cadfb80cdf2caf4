"""Screening: products in low precision, and who could still be among the k best.

T queries of a tile, N rows of a block, D dimensions, A systems of a family, C candidates, P pairs of query and row.
"""

import sys
from collections.abc import Sequence
from functools import reduce
from operator import or_
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.retrieval.candidates import Candidates, Pool
from xdr.retrieval.embeddings import Embeddings
from xdr.retrieval.exact_scores import places_of, rank_pairs
from xdr.retrieval.families import BlockVectors, Family
from xdr.retrieval.products import error_bound, multiplication
from xdr.retrieval.rankings import Rankings

CAPACITY = 3
"""Candidates for which there is room, as a multiple of those that are wanted."""
_CROWD = 4096
_CACHED_ROWS = 1024  # on a CPU: their products with a tile's queries stay in its cache
_FLOAT16_SAFE = 60_000
_LOWEST = torch.finfo(torch.float32).min  # an infinity would make NaN of a difference


class Offer(NamedTuple):
    """A block as a family sees it: its vectors at the least and at the greatest weight, less what the centres make there."""

    first_row: int
    extremes: list[Tensor]
    longest: float
    """No row's parts are longer, taken together."""
    whole: float
    """Nor were they before the centres were taken from them."""


def centres_of(family: Family, vectors: BlockVectors) -> list[Tensor]:
    """The means of a family's ends over some rows; zeros, where that would not make them half as long. What all passages have
    in common orders none, and without it some encoders' are a hundred times shorter: so is the error of their products."""
    centres = []
    for end_ND in family.ends(vectors):
        centre_D = end_ND.mean(dim=0)
        shorter = _longest(end_ND - centre_D) < _longest(end_ND) / 2
        centres.append(centre_D if shorter else torch.zeros_like(centre_D))
    return centres


def make_offer(family: Family, vectors: BlockVectors, first_row: int, centres: Sequence[Tensor]) -> Offer:
    u_ND, v_ND = family.ends(vectors)
    at_u, at_v = (float(centre_D.norm()) for centre_D in centres)
    less_u_ND = u_ND - centres[0] if at_u else u_ND
    if u_ND is v_ND:
        longest = _longest(less_u_ND)
        return Offer(first_row, [less_u_ND], longest, longest + at_u)
    less_v_ND = v_ND - centres[1] if at_v else v_ND
    u_N, v_N = less_u_ND.norm(dim=1), less_v_ND.norm(dim=1)
    extremes = [torch.lerp(less_u_ND, less_v_ND, weight) for weight in family.extremes]
    together = [float(((1 - w) * u_N + w * v_N).max()) for w in family.extremes]
    whole = [its + (1 - w) * at_u + w * at_v for its, w in zip(together, family.extremes, strict=True)]
    return Offer(first_row, extremes, max(together), max(whole))


def _longest(vectors_ND: Tensor) -> float:
    return float(vectors_ND.norm(dim=1).max())


class Contest:
    """A tile of queries and a family: who is still in it."""

    def __init__(
        self,
        store: Embeddings,
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
        self._multiply = multiplication(self._units_TD)
        self._pool = Pool(CAPACITY * k * len(queries_TD), len(family.extremes), device)
        self._num_new = self._num_rows = 0
        self._longest = self._whole = self._margin = 0.0
        self._one_block_at_a_time = Lock()
        self._most_rows = _CACHED_ROWS if device.type == "cpu" else sys.maxsize

    def enter(self, offer: Offer) -> None:
        """The rows of a block, some at a time: at first as many as have set the thresholds that they are met with."""
        with self._one_block_at_a_time:
            start, num_rows = 0, len(offer.extremes[0])
            while start < num_rows:
                stop = min(num_rows, start + min(self._most_rows, max(2 * self._k, 256, self._num_rows)))
                self._meet(offer, slice(start, stop))
                self._num_rows += stop - start
                start = stop

    def _meet(self, offer: Offer, rows: slice) -> None:
        """Rows that a system might rank among the k best become candidates. Over a range of weights a passage's lead over a
        line is greatest at one of the two ends; so only these are looked at for every passage."""
        self._allow_for(offer)
        precision = self._precision if offer.longest < _FLOAT16_SAFE else torch.float32
        products_NT = [self._product(extreme_ND[rows].to(precision)) for extreme_ND in offer.extremes]
        flat_P = _reaching_a_bar(products_NT, self._bars_T)
        products_P = [of_extreme_NT.view(-1)[flat_P] for of_extreme_NT in products_NT]
        rows_P, queries_P = flat_P // len(self._units_TD), flat_P % len(self._units_TD)
        new = Candidates(queries_P, rows_P + (offer.first_row + rows.start), products_P)
        new = new.those(self._reaching(new)) if len(self._positions) > 1 else new
        self._pool.add(new)
        self._num_new += len(new.rows_P)
        if self._num_new > self._k * len(self._units_TD) // 2:
            self._narrow()

    def _allow_for(self, offer: Offer) -> None:
        """The products of longer rows err by more: thresholds that were set without them come down."""
        self._longest, self._whole = max(self._longest, offer.longest), max(self._whole, offer.whole)
        margin = 2 * error_bound(self._precision, self._units_TD.shape[1], self._longest, self._whole)
        if margin > self._margin:
            self._thresholds_TA -= margin - self._margin
            self._bars_T = [bar_T - (margin - self._margin) for bar_T in self._bars_T]
            self._margin = margin

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

    def _reaching(self, candidates: Candidates) -> Tensor:
        reaching_P = torch.zeros_like(candidates.rows_P, dtype=torch.bool)
        for system, position in enumerate(self._positions):
            scores_P = _between(candidates.products_P, position)
            reaching_P |= scores_P >= self._thresholds_TA[:, system][candidates.queries_P]
        return reaching_P

    def _narrow(self) -> Candidates:
        """New thresholds, and only those candidates that reach one; the margin covers all errors of the products."""
        kept = self._pool.in_order_of_queries()
        places_P, width = places_of(kept.queries_P, len(self._units_TD))
        if width >= self._k:
            grids_TC = [_grid(kept.queries_P, places_P, values_P, (len(self._units_TD), width)) for values_P in kept.products_P]
            for system, position in enumerate(self._positions):
                self._thresholds_TA[:, system] = _kth_best(_between(grids_TC, position), self._k) - self._margin
            self._bars_T = _line_below(self._thresholds_TA, self._positions, len(self._bars_T))
            kept = kept.those(self._reaching(kept))
            crowd = max(_CROWD, 4 * self._k * len(self._positions))
            if int(torch.bincount(kept.queries_P).max()) > crowd:
                kept = self._without_ties(kept)
        self._pool.replace(kept)
        self._num_new = 0
        return kept

    def _without_ties(self, kept: Candidates) -> Candidates:
        """Where thousands of passages are as good as equal, no margin tells them apart: they are ranked as they will be in the
        end, and only the best stay."""
        queries_P, rows_P = kept.queries_P.cpu().numpy(), kept.rows_P.cpu().numpy()
        keys_P = queries_P * len(self._store) + rows_P
        ranked = rank_pairs(self._store, self._exact_TD, self._family, queries_P, rows_P, self._k)
        best_keys = [np.arange(len(self._exact_TD))[:, None] * len(self._store) + rankings.rows_QK for rankings in ranked]
        return kept.those(torch.from_numpy(np.isin(keys_P, np.concatenate(best_keys))).to(kept.rows_P.device))


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


def _reaching_a_bar(products_NT: Sequence[Tensor], bars_T: Sequence[Tensor]) -> Tensor:
    """Flat positions where a product with an extreme is not below its bar. On a CPU numpy is several times faster."""
    on_cpu = products_NT[0].device.type == "cpu"
    pairs = zip(products_NT, bars_T, strict=True)
    each_NT: list[Any] = [p_NT.numpy() >= bar_T.numpy() if on_cpu else p_NT >= bar_T for p_NT, bar_T in pairs]
    reaching_NT = reduce(or_, each_NT)
    return torch.from_numpy(np.flatnonzero(reaching_NT)) if on_cpu else reaching_NT.view(-1).nonzero().view(-1)
