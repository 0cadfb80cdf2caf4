"""Which lists a teacher scores. Importing this module imports nothing that takes time."""

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
