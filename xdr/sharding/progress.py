"""Progress of a long job: a bar in a terminal, and a plain line now and then in a log file."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def counting(what: str, console: Console, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number done so far. Nothing is shown before its first call. The time left is shown
    where `total` is known."""
    if not console.is_interactive:
        lines = Lines(what, console, total)
        yield lines.update
        lines.finish()
        return
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}")]
    if total is not None:
        columns += [BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
    with Progress(*columns, _Rate(""), TimeElapsedColumn(), console=console, speed_estimate_period=120) as progress:
        task = progress.add_task(what, total=total, visible=False)
        yield lambda number: progress.update(task, completed=number, visible=True)


class _Rate(TextColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


class Lines:
    """One line every `SECONDS_BETWEEN_LINES`, and a last one that says how long everything took. The last line comes as soon as
    the total is reached, so that what follows the counted work is not in its time."""

    def __init__(self, what: str, console: Console, total: int | None) -> None:
        self._what, self._console, self._total = what, console, total
        self._start = self._printed = time.monotonic()
        self._done: int | None = None
        self._finished = False

    def update(self, number: int) -> None:
        if self._finished:
            return
        self._done = number
        if number == self._total:
            self.finish()
            return
        if time.monotonic() - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = time.monotonic()
        seconds = self._printed - self._start
        left = f", {shown_seconds((self._total - number) / number * seconds)} left" if self._total and number else ""
        self._print(number, seconds, left)

    def finish(self) -> None:
        if self._done is not None and not self._finished:
            self._finished = True
            seconds = time.monotonic() - self._start
            self._print(self._done, seconds, f", took {shown_seconds(seconds)}")

    def _print(self, number: int, seconds: float, end: str) -> None:
        of_all = f" of {self._total:,} ({number / self._total:.0%})" if self._total else ""
        rate = number / seconds if seconds else 0.0
        line = f"{number:,}{of_all} {self._what}, {rate:,.{0 if rate >= 10 else 2}f}/s{end}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def took(seconds: Mapping[str, float]) -> str:
    """One line with the time of each stage."""
    return ", ".join(f"{stage} took {shown_seconds(value)}" for stage, value in seconds.items())


def shown_seconds(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.3g} s"
