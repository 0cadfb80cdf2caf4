"""Screening: inner products in low precision leave, for each query, the candidates that can reach the top k.

T queries of a tile (queries that are screened together), N rows of a block, D dimensions, A systems of a family, C candidates
of a query, P pairs of a query and a row, L and R systems to the left and right of a weight, V values of a candidate.
"""

import sys
from collections.abc import Sequence
from functools import reduce
from operator import or_
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.retrieval.candidates import CandidatePool, Candidates
from xdr.retrieval.exact_scores import places_of, rank_pairs
from xdr.retrieval.family_blocks import FamilyBlock, RowTerms
from xdr.retrieval.products import error_bound, multiplication
from xdr.retrieval.rankings import Rankings
from xdr.vectors.embeddings import Embeddings
from xdr.vectors.families import Family

CAPACITY = 3
"""Candidates for which memory is allocated, as a multiple of k."""
_MOST_TIED = 4096  # candidates of a query that only exact scores can reduce
_CACHED_ROWS = 1024  # on a CPU, their products with the queries of a tile stay in its cache
_FLOAT16_SAFE = 60_000
_SHORTEST_QUERY = 1e-18  # shorter ones count as zero
_LOWEST = torch.finfo(torch.float32).min  # with -inf, differences would be NaN


def num_values(family: Family) -> int:
    """Of a candidate."""
    return len(family.extremes) if family.is_linear else len(family.systems)


class Screen:
    """Candidates of a tile of queries that can still reach the top k of a system of the family.

    The threshold of a query and a system is the k-th best score so far minus a margin for the error of products.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        queries_TD: NDArray[np.floating],
        family: Family,
        k: int,
        device: torch.device,
        precision: torch.dtype,
        centres: Sequence[Tensor],
    ) -> None:
        self._embeddings, self._family, self._k, self._precision = embeddings, family, k, precision
        self._exact_TD = queries_TD.astype(np.float64)
        norms_T1 = np.maximum(np.linalg.norm(self._exact_TD, axis=1, keepdims=True), _SHORTEST_QUERY)
        units_TD = self._exact_TD / norms_T1  # the norm of a query does not change the order
        self._units_TD = torch.from_numpy(units_TD).to(device, torch.float32)
        self._per_norm_T = torch.from_numpy(1 / norms_T1[:, 0]).to(device, torch.float32)
        least, greatest = family.extremes[0], family.extremes[-1]
        self._positions = [(weight - least) / ((greatest - least) or 1) for weight in family.weights]
        self._thresholds_TA = torch.full((len(queries_TD), len(family.weights)), _LOWEST, device=device)
        self._extreme_thresholds_T = [self._thresholds_TA[:, 0] for _ in family.extremes]
        self._centre_products_T = [self._units_TD @ centre_D for centre_D in centres]
        self._multiply = multiplication(self._units_TD)
        self._pool = CandidatePool(CAPACITY * k * len(queries_TD), num_values(family), device)
        self._num_new = self._num_rows = 0
        self._bounds = [0.0, 0.0, 1.0, 0.0]
        self._margin_T = torch.zeros(len(queries_TD), device=device)
        self._lock = Lock()
        self._most_rows = _CACHED_ROWS if device.type == "cpu" else sys.maxsize

    def add(self, block: FamilyBlock) -> None:
        """Screens the rows of a block in slices, each at most as large as the number of rows that set its thresholds."""
        with self._lock:
            start, num_rows = 0, len(block.vectors[0])
            while start < num_rows:
                stop = min(num_rows, start + min(self._most_rows, max(2 * self._k, 256, self._num_rows)))
                self._screen(block, slice(start, stop))
                self._num_rows += stop - start
                start = stop

    def _screen(self, block: FamilyBlock, rows: slice) -> None:
        """Adds the pairs that reach a threshold of some system."""
        self._widen_margin(block)
        precision = self._precision if block.largest_norm < _FLOAT16_SAFE else torch.float32
        products_NT = [self._product(vectors_ND[rows].to(precision)) for vectors_ND in block.vectors]
        new = (
            self._reaching_extremes(products_NT)
            if block.terms is None
            else self._reaching_scores(products_NT, block.terms, rows)
        )
        self._pool.add(new._replace(rows_P=new.rows_P + (block.first_row + rows.start)))
        self._num_new += len(new.rows_P)
        if self._num_new > self._k * len(self._units_TD) // 2:
            self._prune()

    def _reaching_extremes(self, products_NT: list[Tensor]) -> Candidates:
        """Scores and a lower bound of the thresholds are linear in the weight. A pair that reaches the bound at any weight does
        so at an extreme weight, so only the extremes are tested for every pair."""
        reached_NT = reduce(or_, (_reached(*pair) for pair in zip(products_NT, self._extreme_thresholds_T, strict=True)))
        new, pairs_P = self._pairs(reached_NT)
        new = new._replace(values_P=[of_extreme_NT.view(-1)[pairs_P] for of_extreme_NT in products_NT])
        return new.select(self._reaching(new)) if len(self._positions) > 1 else new

    def _reaching_scores(self, products_NT: list[Tensor], terms: RowTerms, rows: slice) -> Candidates:
        """With a scale or an offset for each row, the score of every system is computed for every pair."""
        scales = None if terms.scales_AN is None else terms.scales_AN[:, rows]
        offsets = None if terms.offsets_AN is None else terms.offsets_AN[:, rows]
        if scales is not None:
            for product_NT, centre_T in zip(products_NT, self._centres_at(len(products_NT)), strict=True):
                product_NT += centre_T
        reached: Any = False
        for system, threshold_T in enumerate(self._thresholds_TA.T.contiguous()):
            scale_N1, offset_N1 = (None if of is None else of[system][:, None] for of in (scales, offsets))
            reached = reached | _reached(self._score(products_NT, system, scale_N1, offset_N1, self._per_norm_T), threshold_T)
        unknown = terms.unknown[(terms.unknown >= rows.start) & (terms.unknown < rows.stop)] - rows.start
        reached[unknown] = True
        new, pairs_P = self._pairs(reached)
        products_P = [product_NT.view(-1)[pairs_P] for product_NT in products_NT]
        values_P = []
        is_unknown_P = torch.isin(new.rows_P, unknown)
        for system in range(len(self._positions)):
            scale_P, offset_P = (None if of is None else of[system][new.rows_P] for of in (scales, offsets))
            score_P = self._score(products_P, system, scale_P, offset_P, self._per_norm_T[new.queries_P])
            values_P.append(score_P.masked_fill(is_unknown_P, torch.inf))
        return new._replace(values_P=values_P)

    def _score(
        self, products: list[Tensor], system: int, scale: Tensor | None, offset: Tensor | None, per_norm: Tensor
    ) -> Tensor:
        score = products[0] if len(products) == 1 else torch.lerp(products[0], products[1], self._family.weights[system])
        score = score if scale is None else score * scale
        return score if offset is None else torch.addcmul(score, offset, per_norm)

    def _centres_at(self, num_products: int) -> list[Tensor]:
        u_T, v_T = self._centre_products_T
        return [u_T, v_T] if num_products == 2 else [torch.lerp(u_T, v_T, self._family.weights[0])]

    def _pairs(self, reached_NT: Any) -> tuple[Candidates, Tensor]:
        """The pairs that are True, without values, and their flat positions."""
        on_cpu = self._units_TD.device.type == "cpu"
        pairs_P = torch.from_numpy(np.flatnonzero(reached_NT)) if on_cpu else reached_NT.view(-1).nonzero().view(-1)
        return Candidates(pairs_P % len(self._units_TD), pairs_P // len(self._units_TD), []), pairs_P

    def _widen_margin(self, block: FamilyBlock) -> None:
        """Products of longer rows have larger errors: lowers the thresholds that were set with a smaller margin."""
        of_block = [block.longest, block.longest_uncentred, block.largest_scale, block.largest_offset]
        bounds = [max(pair) for pair in zip(self._bounds, of_block, strict=True)]
        if bounds != self._bounds:
            self._bounds = bounds
            longest, longest_uncentred, scale, offset = bounds
            product = error_bound(self._precision, self._units_TD.shape[1], longest, longest_uncentred, scale)
            margin_T = 2 * (product + 2.0**-20 * offset * self._per_norm_T)
            lower_T = margin_T - self._margin_T
            self._thresholds_TA -= lower_T[:, None]
            self._extreme_thresholds_T = [threshold_T - lower_T for threshold_T in self._extreme_thresholds_T]
            self._margin_T = margin_T

    def _product(self, vectors_ND: Tensor) -> Tensor:
        """Summed in float32, whatever the precision of the factors."""
        if vectors_ND.is_cuda and vectors_ND.dtype != torch.float32:
            return torch.mm(vectors_ND, self._units_TD.to(vectors_ND.dtype).T, out_dtype=torch.float32)
        if vectors_ND.dtype == torch.float32:
            return self._multiply(vectors_ND)
        return vectors_ND.float() @ self._units_TD.to(vectors_ND.dtype).float().T

    def rank_into(self, rankings: Sequence[Rankings], tile: slice) -> None:
        """Writes the top k of each system into the rows of the tile."""
        kept = self._prune()
        pairs = kept.queries_P.cpu().numpy(), kept.rows_P.cpu().numpy()
        ranked = rank_pairs(self._embeddings, self._exact_TD, self._family, *pairs, self._k)
        for whole, of_tile in zip(rankings, ranked, strict=True):
            whole.scores_QK[tile], whole.rows_QK[tile] = of_tile.scores_QK, of_tile.rows_QK

    def _reaching(self, candidates: Candidates) -> Tensor:
        reaching_P = torch.zeros_like(candidates.rows_P, dtype=torch.bool)
        for system, position in enumerate(self._positions):
            scores_P = self._of_system(candidates.values_P, system, position)
            reaching_P |= scores_P >= self._thresholds_TA[:, system][candidates.queries_P]
        return reaching_P

    def _of_system(self, values: Sequence[Tensor], system: int, position: float) -> Tensor:
        return _interpolated(values, position) if self._family.is_linear else values[system]

    def _prune(self) -> Candidates:
        """Raises the thresholds, and keeps the candidates that reach one."""
        kept = self._pool.sorted_by_query()
        places_P, width = places_of(kept.queries_P, len(self._units_TD))
        if width >= self._k:
            grids_TC = [_grid(kept.queries_P, places_P, values_P, (len(self._units_TD), width)) for values_P in kept.values_P]
            for system, position in enumerate(self._positions):
                scores_TC = self._of_system(grids_TC, system, position)
                if not self._family.is_linear:  # rows that only exact scores know count as the worst
                    scores_TC = scores_TC.masked_fill(scores_TC == torch.inf, _LOWEST)
                self._thresholds_TA[:, system] = _kth_best(scores_TC, self._k) - self._margin_T
            if self._family.is_linear:
                self._extreme_thresholds_T = _line_below(self._thresholds_TA, self._positions, len(self._extreme_thresholds_T))
            kept = kept.select(self._reaching(kept))
            if int(torch.bincount(kept.queries_P).max()) > max(_MOST_TIED, 4 * self._k * len(self._positions)):
                kept = self._exactly_best(kept)
        self._pool.replace(kept)
        self._num_new = 0
        return kept

    def _exactly_best(self, candidates: Candidates) -> Candidates:
        """The top k by exact scores. Needed where thousands of passages score the same within the margin."""
        queries_P, rows_P = candidates.queries_P.cpu().numpy(), candidates.rows_P.cpu().numpy()
        num_rows = len(self._embeddings)
        ranked = rank_pairs(self._embeddings, self._exact_TD, self._family, queries_P, rows_P, self._k)
        best = [np.arange(len(self._exact_TD))[:, None] * num_rows + rankings.rows_QK for rankings in ranked]
        is_best_P = np.isin(queries_P * num_rows + rows_P, np.concatenate(best))
        return candidates.select(torch.from_numpy(is_best_P).to(candidates.rows_P.device))


def _grid(queries_P: Tensor, places_P: Tensor, values_P: Tensor, shape: tuple[int, int]) -> Tensor:
    grid_TC = torch.full(shape, _LOWEST, device=values_P.device)
    grid_TC[queries_P, places_P] = values_P
    return grid_TC


def _interpolated(extremes: Sequence[Tensor], position: float) -> Tensor:
    return extremes[0] if len(extremes) == 1 else torch.lerp(extremes[0], extremes[1], position)


def _kth_best(scores_TC: Tensor, k: int) -> Tensor:
    if scores_TC.device.type == "cpu":  # numpy's selection is vectorised and takes an eighth of the time
        return torch.from_numpy(np.partition(scores_TC.numpy(), -k, axis=1)[:, -k].copy())
    return scores_TC.topk(k, dim=1).values[:, -1]


def _line_below(thresholds_TA: Tensor, positions: Sequence[float], num_extremes: int) -> list[Tensor]:
    """The values at positions 0 and 1 of a line below all thresholds, as high as possible in the middle of the positions: the
    edge of the thresholds' lower convex hull there."""
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


def _reached(scores_NT: Tensor, thresholds_T: Tensor) -> Any:
    """Where a score reaches its query's threshold. On a CPU numpy is several times faster."""
    if scores_NT.device.type == "cpu":
        return scores_NT.numpy() >= thresholds_T.numpy()
    return scores_NT >= thresholds_T
