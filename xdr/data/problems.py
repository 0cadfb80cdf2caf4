"""What becomes of a bad line: an error at once (strict), or skipped and counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from xdr.errors import DataError

Raw = TypeVar("Raw")
Record = TypeVar("Record")

_FIRST = 3


@dataclass(slots=True)
class Problems:
    """Filled while records are read. `omitted` counts what a published file is known to hold and no reader can use, a
    passage without text for one: that is no error in either mode, but it is never unsaid."""

    strict: bool = True
    num_skipped: int = 0
    first: list[str] = field(default_factory=list)
    omitted: Counter[str] = field(default_factory=Counter)

    def skip(self, error: DataError) -> None:
        if self.strict:
            raise error
        self.num_skipped += 1
        if len(self.first) < _FIRST:
            self.first.append(str(error))

    def report(self) -> list[str]:
        """Lines for a person; empty where all was well."""
        lines = [f"{count:,} {reason}" for reason, count in sorted(self.omitted.items())]
        if self.num_skipped:
            lines.append(f"{self.num_skipped:,} bad lines were skipped (data.strict=false); the first:")
            lines.extend(f"  {problem}" for problem in self.first)
        return lines


def parse_each(
    rows: Iterable[Raw], parse: Callable[[Raw], Record], problems: Problems, source: str, *, may_be_empty: bool = False
) -> Iterator[Record]:
    """`parse` over `rows`, with `problems` deciding about the rows it refuses. A source without a single good record is
    an error in either mode."""
    empty = True
    for row in rows:
        try:
            record = parse(row)
        except DataError as error:
            problems.skip(error)
            continue
        empty = False
        yield record
    if empty and not may_be_empty:
        raise DataError("there is no record in it", file=source, remedy="Is this the right file, and is it whole?")
