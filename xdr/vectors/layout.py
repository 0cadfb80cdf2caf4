"""Which sums of the vectors of generated texts are kept beside each passage, and which of them a fusion reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from xdr.errors import UserError, shown
from xdr.storage.ledger import ShardLedger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from xdr.vectors.embeddings import Block, Rows

Keep: TypeAlias = Literal["none", "total", "language", "count"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The groups of a layout whose sums a fusion adds up."""

    groups: tuple[int, ...]

    def read(self, block: "Block", rows: "Rows | None" = None) -> "tuple[NDArray[np.floating], NDArray[np.int64]]":
        """For each row, the sum that is fused, and the number of vectors in it."""
        return block.generated(self, rows)


@dataclass(frozen=True, slots=True)
class Layout:
    """The sums that are kept for each passage, one a group.

    `none`: no sum. `total`: one sum of all generated texts. `language`: one sum a language. `count`: for each language and each
    c up to `count`, the sum of the first c texts in that language. With `count`, any number of texts in any languages can be
    selected, and costs one group a language to read. Without `passages`, only sums are kept.
    """

    dimension: int
    keep: Keep = "none"
    languages: tuple[str, ...] = ()
    count: int = 0
    passages: bool = True

    @property
    def groups(self) -> tuple[str, ...]:
        if self.keep == "count":
            return tuple(f"{language}/{c}" for language in self.languages for c in range(1, self.count + 1))
        return {"none": (), "total": ("all",), "language": self.languages}[self.keep]

    @property
    def bytes_per_row(self) -> int:
        """On disk, without the passage ids."""
        groups = len(self.groups)
        return 2 * self.dimension * (self.passages + groups) + 2 * groups

    def select(self, languages: Sequence[str] | None = None, count: int | None = None) -> Selection:
        """The texts in `languages` (default: all), the first `count` in each (default: all)."""
        wanted = tuple(self.languages if languages is None else languages)
        if self.keep == "none":
            raise UserError("the embeddings hold no generated texts. Encode with keep=total, language or count")
        if languages is not None and (self.keep == "total" or not set(wanted) <= set(self.languages)):
            raise UserError(
                f"languages must be kept by the embeddings ({self._kept()}), got {shown(list(wanted))}. "
                "Encode with keep=language and these languages"
            )
        if len(set(wanted)) < len(wanted) or (languages is not None and not wanted):
            raise UserError(f"languages must name at least one language, each once, got {shown(list(wanted))}")
        if count is not None and (self.keep != "count" or not 1 <= count <= self.count):
            raise UserError(
                f"count must be kept by the embeddings ({self._kept()}), got {count}. Encode with keep=count, and at least "
                f"{count} texts of each language"
            )
        if self.keep == "total":
            return Selection((0,))
        first = [self.languages.index(language) for language in wanted]
        if self.keep == "language":
            return Selection(tuple(first))
        return Selection(tuple(index * self.count + (count or self.count) - 1 for index in first))

    def _kept(self) -> str:
        if self.keep == "total":
            return "one sum of all"
        return ", ".join(self.languages) + (f", up to {self.count} of each" if self.keep == "count" else ", all of each")


def layout_of(ledger: ShardLedger) -> Layout:
    layout = ledger.made_by.get("layout")
    assert isinstance(layout, dict), "create_embeddings makes the ledger"
    return Layout(
        layout["dimension"], layout["keep"], tuple(layout["languages"]), layout["count"], layout.get("passages", True)
    )
