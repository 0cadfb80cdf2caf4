"""Corrections of hubs. A hub is a passage that is near to every question, whatever is asked. A correction subtracts a number of
the passage from each of its scores.

    csls          q.p - w r(p)    r(p): the mean of p's k greatest similarities to a bank of queries (arXiv 1710.04087)
    query_bank    q.p - log(sum over the bank of exp(beta b.p)) / beta    the inverted softmax (arXiv 2112.12777)

CSLS also subtracts a number of the query, which does not change a ranking. Query-bank normalization divides exp(beta q.p) by
the sum; this is its logarithm over beta, which ranks alike.

To add a correction, write a dataclass with the members of `Correction`. Importing this module does not import torch.
N rows of a block, B texts of a part of the bank, K greatest similarities, C candidates, M measures of a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from xdr.errors import UserError, shown
from xdr.storage.fingerprint import Json
from xdr.vectors.query_bank import QueryBank

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(NamedTuple):
    """`factor` times the measure with this number is subtracted from the scores of a row. `label` ends the corrected system's
    name, which is a file name."""

    label: str
    measure: int
    factor: float


class Correction(Protocol):
    @property
    def bank(self) -> QueryBank: ...

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """One for each setting that is searched."""
        ...

    def made_by(self) -> dict[str, Json]:
        """What the measures depend on, besides vectors and bank. It must name the correction."""
        ...

    def add(self, state: "Tensor | None", similarities_NB: "Tensor") -> "Tensor":
        """What is remembered of the bank's parts so far, given that of the parts before (None: none) and the similarities of
        N rows to the next part. A similarity of -inf is that of a passage to itself, and does not count."""
        ...

    def measures(self, state: "Tensor") -> "Tensor":
        """(M, N), from what was remembered of the whole bank."""
        ...

    def remarks(self, bank_size: int) -> list[str]:
        """Sentences about what is doubtful."""
        ...


@dataclass(frozen=True)
class Csls:
    """`k` greatest similarities; all of the bank where it has fewer. `strengths` are the weights w."""

    k: int
    strengths: list[float]
    bank: QueryBank

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserError(f"correction.k must be at least 1, got {self.k}")
        require_distinct("correction.strengths", self.strengths)

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        return tuple(Penalty(f"csls-w{strength:g}", 0, strength) for strength in self.strengths)

    def made_by(self) -> dict[str, Json]:
        return {"name": "csls", "k": self.k}

    def add(self, state: "Tensor | None", similarities_NB: "Tensor") -> "Tensor":
        """(N, K): the greatest so far."""
        import numpy as np
        import torch

        known_NC = similarities_NB if state is None else torch.cat([state, similarities_NB], dim=1)
        k = min(self.k, known_NC.shape[1])
        if known_NC.device.type == "cpu":  # numpy's selection takes a third of the time
            return torch.from_numpy(np.partition(known_NC.numpy(), -k, axis=1)[:, -k:].copy())
        return known_NC.topk(k, dim=1).values

    def measures(self, state: "Tensor") -> "Tensor":
        others_NK = state.isfinite()
        return (state.where(others_NK, 0).sum(dim=1) / others_NK.sum(dim=1).clamp(min=1))[None]

    def remarks(self, bank_size: int) -> list[str]:
        if bank_size >= self.k:
            return []
        return [f"correction.k={self.k} is more than the {bank_size:,} texts of the bank: csls takes the mean over all of them"]


@dataclass(frozen=True)
class QueryBankNormalization:
    """`beta` is the inverse temperature: the greater it is, the more the nearest queries of the bank decide."""

    beta: list[float]
    bank: QueryBank

    def __post_init__(self) -> None:
        require_distinct("correction.beta", self.beta)

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        return tuple(Penalty(f"query_bank-b{beta:g}", place, 1.0) for place, beta in enumerate(self.beta))

    def made_by(self) -> dict[str, Json]:
        return {"name": "query_bank", "beta": list(self.beta)}

    def add(self, state: "Tensor | None", similarities_NB: "Tensor") -> "Tensor":
        """(M, N): the logarithm of the sum so far, for each beta."""
        import torch

        logarithms_MN = torch.stack([torch.logsumexp(beta * similarities_NB, dim=1) for beta in self.beta])
        return logarithms_MN if state is None else torch.logaddexp(state, logarithms_MN)

    def measures(self, state: "Tensor") -> "Tensor":
        measures_MN = state / state.new_tensor(self.beta)[:, None]
        return measures_MN.where(measures_MN.isfinite(), 0)

    def remarks(self, bank_size: int) -> list[str]:
        return []


def require_distinct(name: str, values: Sequence[float]) -> None:
    """At least one, all above 0, each once: they name systems."""
    if not values:
        raise UserError(f"{name} must have at least one number, got none")
    if wrong := [value for value in values if not 0 < value < float("inf")]:
        raise UserError(f"{name} must be above 0, got {wrong[0]}")
    if len({f"{value:g}" for value in values}) < len(values):
        raise UserError(f"{name} must not repeat a value (to six digits), got {shown(list(values))}")
