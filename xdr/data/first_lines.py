"""Mistakes in the first lines of the data, found before torch is imported and a model is loaded, which takes seconds."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems

_NUM_LINES = 10_000
"""Of each kind, which takes a tenth of a second. What needs them reads them again."""


def read_first_passages(benchmark: Benchmark, problems: Problems) -> None:
    _read(benchmark.passages(problems))


def read_first_queries(benchmark: Benchmark, split: str, problems: Problems) -> None:
    _read(benchmark.queries(split, problems))
    _read(benchmark.judgements(split, problems))


def read_first_examples(benchmark: Benchmark, split: str, problems: Problems) -> None:
    _read(benchmark.examples(split, problems))


def _read(records: Iterator[object]) -> None:
    deque(islice(records, _NUM_LINES), maxlen=0)
