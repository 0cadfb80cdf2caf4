"""Which lists a teacher scores, and which passages are labelled. Importing this module imports nothing that takes time."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from xdr.errors import UserError

View = Literal["original", "translation"]


@dataclass(frozen=True)
class ListSettings:
    """`view` is the wording of the query that the teacher reads; `translations` says where the other one comes from.
    `candidates` is a TREC run, whose first `depth` passages take the place of the data's own negatives."""

    view: View
    translations: str | None
    candidates: str | None
    depth: int
    shard_size: int

    def __post_init__(self) -> None:
        for name in ("depth", "shard_size"):
            if getattr(self, name) < 1:
                raise UserError(f"teacher.{name} must be at least 1, got {getattr(self, name)}")
        if self.translations is not None and self.view == "original":
            raise UserError(f"teacher.translations must be null with teacher.view=original, got {self.translations}")


@dataclass(frozen=True)
class LabelRules:
    """A positive contains an answer (`answers`), and its score is at least `threshold`, or that `quantile` of the scores of
    passages that are known to answer. A negative's score is at most (1 - margin) times the lowest one of the positives that are
    kept, or below zero (1 + margin) times."""

    answers: bool
    threshold: float | None
    quantile: float | None
    margin: float | None
    most_positives: int
    most_negatives: int

    def __post_init__(self) -> None:
        if not self.answers and self.threshold is None and self.quantile is None:
            raise UserError("mining.threshold or mining.quantile must be a number where mining.answers is false, got null")
        if self.threshold is not None and self.quantile is not None:
            raise UserError(f"mining.threshold must be null with mining.quantile={self.quantile}, got {self.threshold}")
        if self.quantile is not None and not 0 <= self.quantile <= 1:
            raise UserError(f"mining.quantile must be from 0 to 1, got {self.quantile}")
        if self.margin is not None and self.margin < 0:
            raise UserError(f"mining.margin must be at least 0, got {self.margin}")
        for name in ("most_positives", "most_negatives"):
            if getattr(self, name) < 1:
                raise UserError(f"mining.{name} must be at least 1, got {getattr(self, name)}")

    def ceiling(self, positive_scores: Collection[float]) -> float:
        """The highest score of a negative beside positives with these scores."""
        if self.margin is None or not positive_scores:
            return math.inf
        lowest = min(positive_scores)
        return lowest - self.margin * abs(lowest)
