"""The mistakes a user can mend. Each says the rule, what came instead, and the remedy."""

import difflib
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path


class UserError(ValueError):
    """Shown without a traceback by the entry points."""


class DataError(UserError):
    """Something in a file is not as its format says."""

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str = "",
    ) -> None:
        place = ", ".join(
            part
            for part in (
                str(file) if file is not None else "",
                f"line {line}" if line is not None else "",
                f"field '{field}'" if field is not None else "",
            )
            if part
        )
        super().__init__(". ".join(part.rstrip(".") for part in (f"{place}: {problem}" if place else problem, remedy) if part))


class ArtefactError(UserError):
    """A stored artefact is missing, damaged, or was made by something else."""


STOPPED = "stopped; what is done stays, and the same command goes on"


class Unfinished(Exception):  # noqa: N818  nothing is wrong
    """The run was asked to end, and the same command goes on."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A hint to append to an error sentence; empty when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{near[0]}'?" if near else ""


def shown(value: object, limit: int = 60) -> str:
    """What came, short enough for an error sentence."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def first_line(error: Exception) -> str:
    """Of what a library says, which may go on for pages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def print_in_any_terminal() -> None:
    """Where it has no Bengali letters, question marks stand for them, and the job goes on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
