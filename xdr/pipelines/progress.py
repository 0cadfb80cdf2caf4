"""A line that says how many were read, and how fast."""

from collections.abc import Callable, Iterator
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


class _Rate(TextColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


@contextmanager
def counting(what: str, console: Console, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number so far. Nothing is shown where there is nothing to count. With a `total`, a bar
    and the time left."""
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}")]
    if total is not None:
        columns += [BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
    with Progress(*columns, _Rate(""), TimeElapsedColumn(), console=console, speed_estimate_period=120) as progress:
        task = progress.add_task(what, total=total, visible=False)
        yield lambda number: progress.update(task, completed=number, visible=True)
