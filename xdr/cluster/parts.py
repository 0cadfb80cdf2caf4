"""The parts of a phase of the work: which are done, which are under way where, and which are to be done again.

A part is a shard, or a share of a search. What it gives depends on its number alone, so a part may be done twice. A shard at
which workers die again and again is searched for the row that kills them, by halves; the shard is then made without it.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, NamedTuple

SLOW = 3.0
"""A part that takes this many times as long as the median is given to a second worker, too."""
MOST_POISONED = 10
"""Of a shard."""


class Task(NamedTuple):
    """What a worker is to do. `rows` of the shard are to be tried, and nothing kept; or, if there are none, the part is to be
    made `without` some."""

    kind: Literal["part", "wait", "over"]
    part: int = 0
    of: int = 0
    rows: tuple[int, int] | None = None
    without: tuple[int, ...] = ()


@dataclass
class _Part:
    """`suspects` are ranges of rows that are still to be tried. `acquitted` counts the searches that found no row."""

    rows: tuple[int, int] | None
    since: dict[str, float] = field(default_factory=dict)
    deaths: int = 0
    without: tuple[int, ...] = ()
    suspects: list[tuple[int, int]] = field(default_factory=list)
    acquitted: int = 0


@dataclass
class _Phase:
    parts: dict[int, _Part]
    of: int
    pending: deque[int]
    results: dict[int, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


class Parts:
    """One phase at a time. Workers ask for parts of a phase that has begun, and wait for one that has not."""

    def __init__(self, tries: int, clock: Callable[[], float] = time.monotonic) -> None:
        """A part is searched for the row that kills, or given up if it has no rows, after `tries` deaths."""
        self._tries, self._clock = tries, clock
        self._phases: dict[str, _Phase] = {}
        self._current = ""

    def begin(self, name: str, parts: Mapping[int, tuple[int, int] | None], of: int) -> None:
        """The rows of each part to be done, if it has rows. `of` is the number of all parts."""
        self._phases[name] = _Phase({part: _Part(rows) for part, rows in parts.items()}, of, deque(parts))
        self._current = name

    def next(self, name: str, worker: str) -> Task:
        if name != self._current:
            return Task("over" if name in self._phases else "wait")
        phase = self._phases[name]
        number = phase.pending.popleft() if phase.pending else self._slow_part(phase, worker)
        if number is None:
            return Task("wait")
        part = phase.parts[number]
        part.since[worker] = self._clock()
        return Task("part", number, phase.of, part.suspects[0] if part.suspects else None, part.without)

    def finish(self, name: str, task: Task, worker: str, result: Any = None) -> None:
        phase, part = self._phases[name], self._phases[name].parts[task.part]
        since = part.since.pop(worker, None)
        if task.rows is not None:
            part.suspects.remove(task.rows)
            part.acquitted += not part.suspects
            phase.pending.append(task.part)
            return
        if since is not None:
            phase.seconds.append(self._clock() - since)
        if task.part in phase.pending:
            phase.pending.remove(task.part)
        phase.results.setdefault(task.part, result)

    def lose(self, worker: str) -> str | None:
        """Takes back what a worker that died was at. Returns a sentence if it cannot be done; "" if it was at nothing."""
        phase = self._phases.get(self._current)
        at = [] if phase is None else [(number, part) for number, part in phase.parts.items() if worker in part.since]
        for number, part in at:
            assert phase is not None
            del part.since[worker]
            if problem := self._after_death(part, number):
                return problem
            if not part.since and number not in phase.results:
                phase.pending.append(number)
        return None if at else ""

    def _after_death(self, part: _Part, number: int) -> str | None:
        if part.suspects:
            first, stop = part.suspects[0]
            middle = (first + stop) // 2
            part.suspects = [(first, middle), (middle, stop)] if stop - first > 1 else []
            if not part.suspects:
                part.without, part.deaths = (*part.without, first), 0
            return None
        part.deaths += 1
        if part.deaths >= self._tries:
            if part.rows is None or part.acquitted or len(part.without) >= MOST_POISONED:
                return f"{part.deaths} workers died at part {number}"
            part.suspects = [part.rows]
        return None

    def progress(self) -> tuple[int, int]:
        """How many parts of the current phase are done, and how many there are."""
        phase = self._phases[self._current]
        return len(phase.results), len(phase.parts)

    def results(self) -> list[Any]:
        """Of the current phase, by part."""
        results = self._phases[self._current].results
        return [results[part] for part in sorted(results)]

    def _slow_part(self, phase: _Phase, worker: str) -> int | None:
        """The part that one other worker has been at for longest, if that is long."""
        alone = [
            (min(part.since.values()), number)
            for number, part in phase.parts.items()
            if len(part.since) == 1 and worker not in part.since and not part.suspects
        ]
        if not alone or not phase.seconds or self._clock() - min(alone)[0] < SLOW * median(phase.seconds):
            return None
        return min(alone)[1]
