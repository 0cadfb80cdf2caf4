"""Pairs of a query and a row that can still reach the top k.

P pairs.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """`values_P` holds the inner products at each extreme weight of a family, or the score of each system."""

    queries_P: Tensor
    rows_P: Tensor
    values_P: list[Tensor]

    def select(self, pairs: Tensor | slice) -> "Candidates":
        return Candidates(self.queries_P[pairs], self.rows_P[pairs], [values_P[pairs] for values_P in self.values_P])


class CandidatePool:
    """Candidates in memory that is allocated once. Tensors that are kept between others that are freed would fragment it."""

    def __init__(self, capacity: int, num_values: int, device: torch.device) -> None:
        self._size = 0
        self._memory = self._allocated(capacity, num_values, device)

    @staticmethod
    def _allocated(capacity: int, num_values: int, device: torch.device) -> Candidates:
        queries_P, rows_P = torch.empty((2, capacity), dtype=torch.int64, device=device)
        return Candidates(queries_P, rows_P, list(torch.empty((num_values, capacity), device=device)))

    def add(self, candidates: Candidates) -> None:
        start, self._size = self._size, self._size + len(candidates.rows_P)
        if self._size > len(self._memory.rows_P):
            full = self._memory
            self._memory = self._allocated(2 * self._size, len(full.values_P), full.rows_P.device)
            self._write(full.select(slice(0, start)), 0)
        self._write(candidates, start)

    def replace(self, candidates: Candidates) -> None:
        self._size = 0
        self.add(candidates)

    def sorted_by_query(self) -> Candidates:
        return self._memory.select(torch.argsort(self._memory.queries_P[: self._size], stable=True))

    def _write(self, candidates: Candidates, start: int) -> None:
        memory = self._memory.select(slice(start, start + len(candidates.rows_P)))
        memory.queries_P.copy_(candidates.queries_P)
        memory.rows_P.copy_(candidates.rows_P)
        for to_P, from_P in zip(memory.values_P, candidates.values_P, strict=True):
            to_P.copy_(from_P)
