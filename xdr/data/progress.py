"""A line that says how many were read, and how fast."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


class _Rate(TextColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


@contextmanager
def counting(what: str, console: Console) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number so far. Nothing is shown where there is nothing to count."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}"), _Rate(""), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=None, visible=False)
        yield lambda number: progress.update(task, completed=number, visible=True)
