"""Errors that a user can fix. Each message states the rule, the value that broke it, and the remedy."""

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from pickle import UnpicklingError


class UserError(ValueError):
    """The entry points print it without a traceback."""


class DataError(UserError):
    """A file breaks its format."""

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
        sentences = (f"{place}: {problem}" if place else problem, remedy[:1].upper() + remedy[1:])
        super().__init__(". ".join(sentence.rstrip(".") for sentence in sentences if sentence))


class ArtefactError(UserError):
    """A stored artifact is missing, damaged, or was made from something else."""


STOPPED = "Interrupted. Finished work is saved; run the same command to resume."


class Unfinished(Exception):  # noqa: N818  not an error
    """The run was interrupted, and the same command resumes it."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A hint to append to an error message; empty if no known word is similar."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{near[0]}'?" if near else ""


def near_path(path: Path) -> str:
    """Likewise, for a path where nothing is: what lies beside it under a similar name."""
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.5)
    return f"did you mean '{path.with_name(near[0])}'?" if near else ""


def shown(value: object, limit: int = 60) -> str:
    """A value, short enough for an error message."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def first_line(error: BaseException) -> str:
    """The first line of a library's message, which can be pages long."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def in_one_sentence(error_of: Callable[[Exception], UserError]) -> Iterator[None]:
    """Raises `error_of(error)` in place of any error of a library. Every library has errors of its own, so no list of them is
    complete."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise error_of(error) from error


def loading(what: str) -> AbstractContextManager[None]:
    """Around code that loads a model: a library's error becomes one sentence about `what`."""

    def error_of(error: Exception) -> UserError:
        if isinstance(error, UnpicklingError):
            problem = "its weights are not plain tensors, and no code is run. Give weights in the format safetensors"
        else:
            problem = first_line(error)
        return UserError(f"{what} cannot be loaded: {problem}")

    return in_one_sentence(error_of)


def print_in_any_terminal() -> None:
    """Prints question marks for letters that the terminal cannot encode, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
