"""What the rest of xdr asks of a benchmark. A new one is a new file beside this with these five methods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from xdr.data.problems import Problems
from xdr.text.records import Judgement, Passage, Query, TrainingExample


class Benchmark(Protocol):
    """Splits are `train`, `dev` and `test`. What a benchmark does not have yields nothing; a file that it should have and
    that is not there is an error. Every reader streams, and hands its bad lines to `problems`."""

    def passage_sources(self) -> tuple[Path, ...]:
        """The files the passages come from; they tell whether a converted collection is still theirs."""
        ...

    def passages(self, problems: Problems) -> Iterator[Passage]: ...

    def queries(self, split: str, problems: Problems) -> Iterator[Query]: ...

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]: ...

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]: ...


SPLITS = ("train", "dev", "test")
