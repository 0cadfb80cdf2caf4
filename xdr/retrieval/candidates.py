"""Pairs of query and row that could be among the k best."""

from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Pairs that could be among the k best, and their queries' products with each extreme."""

    queries_P: Tensor
    rows_P: Tensor
    products_P: list[Tensor]

    def those(self, wanted: Tensor | slice) -> "Candidates":
        return Candidates(self.queries_P[wanted], self.rows_P[wanted], [values_P[wanted] for values_P in self.products_P])


class Pool:
    """Candidates in memory that is taken once: what stays would come to lie between blocks that go, and pin their memory."""

    def __init__(self, capacity: int, num_extremes: int, device: torch.device) -> None:
        self._size = 0
        self._all = self._empty(capacity, num_extremes, device)

    @staticmethod
    def _empty(capacity: int, num_extremes: int, device: torch.device) -> Candidates:
        queries_P, rows_P = torch.empty((2, capacity), dtype=torch.int64, device=device)
        return Candidates(queries_P, rows_P, list(torch.empty((num_extremes, capacity), device=device)))

    def add(self, new: Candidates) -> None:
        start, self._size = self._size, self._size + len(new.rows_P)
        if self._size > len(self._all.rows_P):
            before = self._all
            self._all = self._empty(2 * self._size, len(before.products_P), before.rows_P.device)
            self._write(before.those(slice(0, start)), 0)
        self._write(new, start)

    def replace(self, candidates: Candidates) -> None:
        self._size = 0
        self.add(candidates)

    def in_order_of_queries(self) -> Candidates:
        return self._all.those(torch.argsort(self._all.queries_P[: self._size], stable=True))

    def _write(self, candidates: Candidates, start: int) -> None:
        into = self._all.those(slice(start, start + len(candidates.rows_P)))
        into.queries_P.copy_(candidates.queries_P)
        into.rows_P.copy_(candidates.rows_P)
        for mine_P, theirs_P in zip(into.products_P, candidates.products_P, strict=True):
            mine_P.copy_(theirs_P)
