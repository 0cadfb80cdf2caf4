"""Which sums of companions' vectors are kept beside each passage, and which of them a fusion wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from xdr.errors import UserError, shown
from xdr.storage.ledger import ShardLedger

Keep: TypeAlias = Literal["none", "total", "language", "count"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The groups whose sums, added up, are the companion vector that is wanted."""

    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which sums are kept. `total`: one. `language`: one a language. `count`: for every language and every c up to `count`, the
    sum of the passage's *first* c queries in that language (of all, where it has fewer), so that any number of queries in any
    languages is one group a language, and costs no more to read than all of them."""

    dimension: int
    keep: Keep = "none"
    languages: tuple[str, ...] = ()
    count: int = 0

    @property
    def groups(self) -> tuple[str, ...]:
        if self.keep == "count":
            return tuple(f"{language}/{c}" for language in self.languages for c in range(1, self.count + 1))
        return {"none": (), "total": ("all",), "language": self.languages}[self.keep]

    @property
    def bytes_per_row(self) -> int:
        """On disk; the ids come on top."""
        groups = len(self.groups)
        return 2 * self.dimension * (1 + groups) + 2 * groups

    def groups_of(self, language: str, position: int) -> range:
        """The groups that the passage's query number `position`, from 0, in `language` is added to."""
        if self.keep == "total":
            return range(1)
        index = self.languages.index(language)
        if self.keep == "language":
            return range(index, index + 1)
        return range(index * self.count + position, (index + 1) * self.count)

    def select(self, languages: Sequence[str] | None = None, count: int | None = None) -> Selection:
        """The companions in `languages` (default: all), the first `count` in each (default: all)."""
        wanted = tuple(self.languages if languages is None else languages)
        if self.keep == "none":
            raise UserError("these embeddings hold passages alone; encode with augmentation.keep=total, language or count")
        if languages is not None and (self.keep == "total" or not set(wanted) <= set(self.languages)):
            raise UserError(
                f"companions in {shown(list(wanted))} were asked for, and the embeddings keep {self._kept()}. "
                "Encode with augmentation.keep=language and these languages"
            )
        if len(set(wanted)) < len(wanted) or (languages is not None and not wanted):
            raise UserError(f"a selection names each language once, and at least one; {shown(list(wanted))} came")
        if count is not None and (self.keep != "count" or not 1 <= count <= self.count):
            raise UserError(
                f"the first {count} companions were asked for, and the embeddings keep {self._kept()}. "
                "Encode with augmentation.keep=count, and that many at least"
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
        return f"{', '.join(self.languages)}" + (
            f", up to {self.count} of each" if self.keep == "count" else ", all in one sum"
        )


def layout_of(ledger: ShardLedger) -> Layout:
    layout = ledger.made_by.get("layout")
    assert isinstance(layout, dict), "create_embeddings makes the ledger"
    return Layout(layout["dimension"], layout["keep"], tuple(layout["languages"]), layout["count"])
