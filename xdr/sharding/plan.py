"""The plan of a job (`plan=true`): time, disk and memory of each stage, measured on a short probe and multiplied."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from xdr.errors import UserError
from xdr.sharding.disk_space import require_room, shown_bytes
from xdr.sharding.memory import Memory
from xdr.sharding.progress import shown_seconds

BUDGET_SECONDS = 15.0
"""The time of one probe. A plan has four large ones at most."""


class Term(NamedTuple):
    """`number` units that take `each` seconds, or bytes."""

    number: float
    unit: str
    each: float


def total(terms: Sequence[Term]) -> float:
    return sum(term.number * term.each for term in terms)


@dataclass(frozen=True)
class PlannedStage:
    """`time` is that of the busiest of `processes`; `folder` is on the disk that the stage writes to. `others` are more rows of
    the table: what, how much, the arithmetic."""

    name: str
    time: Sequence[Term]
    disk: Sequence[Term]
    folder: Path
    memory: Sequence[Memory]
    processes: int = 1
    others: Sequence[tuple[str, str, str]] = ()

    @property
    def seconds(self) -> float:
        return total(self.time)

    @property
    def num_bytes(self) -> float:
        return total(self.disk)


def plan_table(stages: Sequence[PlannedStage]) -> Table:
    table = Table("stage", "takes", "", "arithmetic", title="Plan")
    for stage in stages:
        busiest = f", in the busiest of {stage.processes} processes" if stage.processes > 1 else ""
        table.add_row(stage.name, "time", shown_seconds(stage.seconds), summed(stage.time, shown_seconds) + busiest)
        table.add_row("", "disk", shown_bytes(stage.num_bytes), summed(stage.disk, shown_bytes) or "nothing of size")
        for kind, peak, limit in stage.memory:
            table.add_row("", kind, shown_bytes(peak), f"peak of the probe in one process, limit {shown_bytes(limit)}")
        for row in stage.others:
            table.add_row("", *row)
        table.add_section()
    table.add_row("in all", "time", shown_seconds(sum(stage.seconds for stage in stages)))
    table.add_row("", "disk", shown_bytes(sum(stage.num_bytes for stage in stages)))
    return table


def summed(terms: Sequence[Term], shown: Callable[[float], str]) -> str:
    """The arithmetic behind a total."""
    return " + ".join(f"{number:,.0f} {unit} x {shown(each)}" for number, unit, each in terms)


def refuse_what_cannot_fit(stages: Sequence[PlannedStage], setting: str) -> None:
    """All stages write to one disk, which `setting` chooses."""
    for stage in stages:
        for kind, peak, limit in stage.memory:
            if peak > limit:
                raise UserError(
                    f"{stage.name} must fit into {shown_bytes(limit)} of {kind}, and its probe took {shown_bytes(peak)}. "
                    "End other programs, or lower tokens_per_batch or data.batches.size"
                )
    require_room(stages[0].folder, sum(stage.num_bytes for stage in stages), "the files of this job", setting)


def measured_time(
    probe: Callable[[int], float],
    number: int,
    unit: str,
    first: int = 8,
    most: int | None = None,
    budget: float = BUDGET_SECONDS,
) -> list[Term]:
    """A linear estimate for `number` units: what starting takes, and each unit. `probe(n)` works on n units and returns its
    seconds. It is called with 1, `first`, then four times as many each time, up to `most` (default: all) or until the next call
    would exceed the budget. The line goes through the first and the last of these."""
    if not number:
        return [Term(0, unit, 0.0)]
    most = number if most is None else most
    size = smallest = min(first, most)
    first_call = probe(1)
    seconds = at_smallest = probe(size)
    while size < most and 4 * seconds <= budget:
        size = min(4 * size, most)
        seconds = probe(size)
    each = max(0.0, seconds - at_smallest) / (size - smallest) if size > smallest else seconds / size
    return [Term(1, "start", max(0.0, seconds - each * size, first_call - each)), Term(number, unit, each)]


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spaced(total: int, number: int) -> list[int]:
    """`number` of the rows below `total`, evenly spaced."""
    return [row * total // number for row in range(number)]
