"""What happens to a line that cannot be read: an error (strict), or it is skipped and counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from xdr.errors import DataError

Raw = TypeVar("Raw")
Record = TypeVar("Record")

_NUM_SHOWN = 3


@dataclass(slots=True)
class Problems:
    """Is filled while records are read. `whole_files` says that a changed file is seen from all of its bytes, not from samples.
    `omitted` counts what no reader can use although the published file holds it, such as a passage without text. That is no
    error in either mode, but `report` names it."""

    strict: bool = True
    whole_files: bool = False
    num_skipped: int = 0
    first: list[str] = field(default_factory=list)
    omitted: Counter[str] = field(default_factory=Counter)

    def skip(self, error: DataError) -> None:
        if self.strict:
            raise error
        self.num_skipped += 1
        if len(self.first) < _NUM_SHOWN:
            self.first.append(str(error))

    def report(self) -> list[str]:
        """Lines to print; empty if nothing was skipped or omitted."""
        lines = [f"{count:,} {reason}" for reason, count in sorted(self.omitted.items())]
        if self.num_skipped:
            lines.append(f"{self.num_skipped:,} bad lines were skipped (data.strict=false); the first:")
            lines.extend(f"  {problem}" for problem in self.first)
        return lines


def parse_each(
    rows: Iterable[Raw], parse: Callable[[Raw], Record | None], problems: Problems, source: str, *, may_be_empty: bool = False
) -> Iterator[Record]:
    """Yields `parse(row)` for each row, except None. `problems` decides about rows that `parse` refuses. A source without any
    row that can be read is an error in either mode."""
    is_empty = True
    for row in rows:
        try:
            record = parse(row)
        except DataError as error:
            problems.skip(error)
            continue
        is_empty = False
        if record is not None:
            yield record
    if is_empty and not may_be_empty:
        raise DataError("the file must have at least one record, got none", file=source, remedy="Is it the right file?")
