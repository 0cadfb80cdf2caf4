"""What a job will take, before it starts: time, disk and memory of each stage, as sums of products that can be checked."""

import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

from xdr.errors import UserError
from xdr.pipelines.disk_space import require_room, shown_bytes

BUDGET = 20.0
"""Seconds that one probe may take, about."""
_STRETCHES = 16


@dataclass(frozen=True)
class Term:
    """So many things that each take so much: seconds, or bytes."""

    number: float
    of: str
    each: float

    @property
    def product(self) -> float:
        return self.number * self.each


@dataclass(frozen=True)
class Memory:
    """`peak` is what the probe took at most, `limit` what there was for it."""

    peak: float
    limit: float


@dataclass(frozen=True)
class PlannedStage:
    """`time` is that of the process with the most to do, of so many `processes`; `folder` is on the disk that is written to."""

    name: str
    time: Sequence[Term]
    disk: Sequence[Term]
    folder: Path
    memory: Memory
    device_memory: Memory | None = None
    processes: int = 1

    @property
    def seconds(self) -> float:
        return sum(term.product for term in self.time)

    @property
    def num_bytes(self) -> float:
        return sum(term.product for term in self.disk)


def plan_table(stages: Sequence[PlannedStage]) -> Table:
    table = Table("stage", "takes", "", "arithmetic", title="Plan")
    for stage in stages:
        shared = f", in the busiest of {stage.processes} processes" if stage.processes > 1 else ""
        table.add_row(stage.name, "time", shown_seconds(stage.seconds), _sum(stage.time, shown_seconds) + shared)
        table.add_row("", "disk", shown_bytes(stage.num_bytes), _sum(stage.disk, shown_bytes) or "nothing of size")
        for what, memory in (("memory", stage.memory), ("device memory", stage.device_memory)):
            if memory is not None:
                found = f"the probe's peak in a process, of {shown_bytes(memory.limit)} that it could have"
                table.add_row("", what, shown_bytes(memory.peak), found)
        table.add_section()
    table.add_row("in all", "time", shown_seconds(sum(stage.seconds for stage in stages)))
    table.add_row("", "disk", shown_bytes(sum(stage.num_bytes for stage in stages)))
    return table


def refuse_what_cannot_fit(stages: Sequence[PlannedStage], setting: str) -> None:
    """Stages of one job, which write to one disk. `setting` chooses that disk."""
    for stage in stages:
        if stage.memory.peak > stage.memory.limit:
            raise UserError(
                f"{stage.name} takes {shown_bytes(stage.memory.peak)} of memory, and {shown_bytes(stage.memory.limit)} are "
                "there. End other programs, or lower tokens_per_batch, or data.batches.size"
            )
    require_room(stages[0].folder, sum(stage.num_bytes for stage in stages), "the files of this job", setting)


@dataclass(frozen=True)
class Probe:
    """Seconds of `each` of a `number` of things, and what the first of all took besides: imports, memory that is taken once."""

    number: int
    each: float
    start: float


def timed_probe(work: Callable[[int], float], first: int, most: int, budget: float = BUDGET) -> Probe:
    """The largest within the budget. `work` is on so many things, and returns the seconds that count."""
    number = min(first, most)
    once = work(1)
    while True:
        seconds = work(number)
        if number == most or 3 * seconds > budget:
            return Probe(number, seconds / number, max(0.0, once - seconds / number))
        number = min(2 * number, most)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spaced(total: int, number: int) -> list[int]:
    """`number` of the rows below `total`, evenly spaced."""
    return [row * total // number for row in range(number)]


def stretches(total: int, number: int) -> list[tuple[int, int]]:
    """As many rows, in sixteen stretches: from, and up to."""
    pieces = min(_STRETCHES, number)
    ends = [number * piece // pieces for piece in range(pieces + 1)]
    skipped = spaced(total - number, pieces)
    return [(start + gap, stop + gap) for start, stop, gap in zip(ends, ends[1:], skipped, strict=False)]


def starting(folder: Path, device: torch.device, seconds_made_once: float) -> PlannedStage:
    """What comes before the work: this process' own age, without what a job will find made. Nothing on systems that do not
    tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        age = seconds_made_once
    return PlannedStage("start", [Term(1, "start", age - seconds_made_once)], [], folder, *peak_memory(device))


def peak_memory(device: torch.device) -> tuple[Memory, Memory | None]:
    """Of this process so far, and of its device."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    memory = Memory(peak, free_memory() + _field("/proc/self/status", "VmRSS"))
    if device.type != "cuda":
        return memory, None
    return memory, Memory(torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1])


def free_memory() -> float:
    return _field("/proc/meminfo", "MemAvailable")


@contextmanager
def explaining_device_memory(remedy: str) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(f"the job does not fit into the device's memory. {remedy}. It says: {error}") from error


def took(seconds: Mapping[str, float]) -> str:
    """What the stages of a job took, by name, to be held against its plan."""
    return ", ".join(f"{stage} took {shown_seconds(its)}" for stage, its in seconds.items())


def shown_seconds(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.3g} s"


def _sum(terms: Sequence[Term], shown: Callable[[float], str]) -> str:
    return " + ".join(f"{term.number:,.0f} {term.of} x {shown(term.each)}" for term in terms)


def _field(file: str, name: str) -> float:
    """In bytes; infinite on systems without such files."""
    lines = Path(file).read_text().splitlines() if Path(file).is_file() else []
    return next((int(line.split()[1]) * 1024.0 for line in lines if line.startswith(name)), float("inf"))
