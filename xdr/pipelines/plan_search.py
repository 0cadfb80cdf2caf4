"""What a search will take: all queries in random vectors, as many as the budget allows, and what each more would add."""

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from xdr.encoders.encoder import Encoder
from xdr.pipelines.plan import PlannedStage, Term, free_memory, peak_memory, seconds_of, spaced, timed_probe
from xdr.pipelines.retrieval_task import Fusing, RetrievalTask, own_shards
from xdr.pipelines.shards import Shards
from xdr.retrieval.embedding_writer import create_embeddings, writing_shard
from xdr.retrieval.generated_sums import sum_generated_passages
from xdr.retrieval.layout import Layout
from xdr.retrieval.rankings import Rankings, merge_rankings
from xdr.retrieval.search import search
from xdr.storage.ledger import ShardLedger

_FIRST_ROWS, _MOST_BYTES = 4096, 1e9
_ROWS_TO_DEPTH = 8
"""Rows that are searched at least, as a multiple of the depth: among fewer, most would be candidates."""
_MOST_ENCODED = 1024


@dataclass(frozen=True)
class Course:
    """How a search went: the rows that it had seen, and the seconds that it had taken, after each block; and when it had ranked
    what was left."""

    rows_B: tuple[int, ...]
    seconds_B: tuple[float, ...]
    total: float

    @property
    def late_rate(self) -> float:
        """Seconds a row, in the second half."""
        half = len(self.rows_B) // 2
        if half == 0:
            return self.total / self.rows_B[-1]
        return (self.seconds_B[-1] - self.seconds_B[half - 1]) / (self.rows_B[-1] - self.rows_B[half - 1])

    def expected(self, num_rows: int, each_row: float) -> float:
        """Of so many rows, no fewer than were searched, each taking so much. Those that could be among the best, whose number
        grows with the logarithm, take besides what they took after the first quarter, in which thresholds are found."""
        rows_B, seconds_B = np.array(self.rows_B, np.float64), np.array(self.seconds_B)
        late = rows_B >= rows_B[-1] / 4
        rows_B, seconds_B = rows_B[late], seconds_B[late]
        candidates_B = np.log(rows_B / rows_B[0])
        rest_B = seconds_B - seconds_B[0] - each_row * (rows_B - rows_B[0])
        rate = candidates_B @ rest_B / (candidates_B @ candidates_B) if len(rows_B) > 1 else 0.0
        more = num_rows / self.rows_B[-1]
        return self.total + each_row * (num_rows - self.rows_B[-1]) + max(0.0, float(rate)) * math.log(more)


def plan_search(task: RetrievalTask, encoder: Encoder, shards: Shards, device: torch.device, processes: int) -> PlannedStage:
    """Every process encodes all queries, checks all vectors, and searches its own shards for all."""
    texts = [query.text for query in task.qrels.queries]
    num_rankings = len(texts) * (len(task.systems) if task.fuses_queries else 1)
    num_rows, kept = len(task.store), task.layout
    own = max(
        sum(stop - start for start, stop in map(shards.rows, own_shards(shards.ledger.num_shards, rank, processes)))
        for rank in range(processes)
    )
    each_query = timed_probe(
        lambda number: seconds_of(lambda: encoder.encode_queries([texts[row] for row in spaced(len(texts), number)])),
        8,
        min(len(texts), _MOST_ENCODED),
    ).each
    terms = [Term(len(texts), "queries", each_query)]
    if task.fusing is not None and task.fuses_queries:
        terms.append(Term(len(texts), "queries' written passages", _each_written(task.fusing, encoder, kept)))
    course, each_row, each_byte, merging = _probe(task, num_rankings, own, device, processes)
    rest = course.expected(own, each_row) - each_row * own
    terms += [
        Term(num_rows * kept.bytes_per_row / 1e6, "MB checked", 1e6 * each_byte),
        Term(own, f"passages, for {num_rankings:,} queries,", each_row),
        Term(num_rankings, "rankings", max(0.0, rest + merging) / num_rankings),
    ]
    return PlannedStage("search", terms, [], task.ledger.folder, *peak_memory(device), processes)


def _each_written(fusing: Fusing, encoder: Encoder, layout: Layout) -> float:
    total = Layout(layout.dimension, "total", fusing.languages)
    number = len(fusing.generated)

    def encode(number_now: int) -> float:
        some = [next(fusing.generated.slice(row, row + 1)) for row in spaced(number, number_now)]
        return seconds_of(lambda: sum_generated_passages(encoder, some, total, fusing.number))

    return timed_probe(encode, 8, min(number, _MOST_ENCODED)).each


def _probe(
    task: RetrievalTask, num_rankings: int, num_rows: int, device: torch.device, processes: int
) -> tuple[Course, float, float, float]:
    """Of the largest search within the budget: its course, the seconds that a row takes which is among nobody's best (as in the
    long run nearly all are), those that checking takes a byte, and merging in all. Random vectors cost what others cost."""
    random, layout = np.random.default_rng(0), _searched(task)
    queries_QD = random.standard_normal((num_rankings, layout.dimension), np.float32)
    from_disk = len(task.store) * task.layout.bytes_per_row > free_memory()
    found: dict[str, Rankings] = {}
    course, each_byte = Course((), (), 0.0), 0.0

    def searched(number: int, depth: int) -> Course:
        nonlocal each_byte
        with scratch_ledger(task.ledger, layout) as scratch:
            write_random(scratch, layout, number, random)
            probed = replace(task, ledger=scratch)
            _forget(scratch.folder, from_disk)
            each_byte = seconds_of(lambda: probed.embeddings) / (number * layout.bytes_per_row)
            _forget(scratch.folder, from_disk)
            rows, seconds = [], []
            start = time.perf_counter()

            def note(so_far: int) -> None:
                rows.append(so_far)
                seconds.append(time.perf_counter() - start)

            found.update(search(probed.embeddings, queries_QD, probed.families(), depth, device=device.type, progress=note))
            return Course(tuple(rows), tuple(seconds), time.perf_counter() - start)

    def search_some(number: int) -> float:
        nonlocal course
        course = searched(number, min(task.depth, number))
        return course.total

    first = max(_FIRST_ROWS, _ROWS_TO_DEPTH * task.depth)
    most = int(_MOST_BYTES // layout.bytes_per_row)
    timed_probe(search_some, min(first, most), min(num_rows, most))
    merging = seconds_of(lambda: _merge(found, processes)) if processes > 1 else 0.0
    num_searched = course.rows_B[-1]
    if task.depth > num_searched:  # all are ranked, and each row takes the same
        course = Course((num_searched,), (course.total,), course.total)
        each_row = course.late_rate
    else:
        each_row = searched(num_searched, 1).late_rate
    return course, each_row, each_byte, merging


def _merge(found: Mapping[str, Rankings], processes: int) -> None:
    for its in found.values():
        parts = [Rankings(its.scores_QK * (1 + part * 1e-3), its.rows_QK) for part in range(processes)]  # few ties
        merge_rankings(parts, its.rows_QK.shape[1], lambda rows: [str(row) for row in rows])


def _searched(task: RetrievalTask) -> Layout:
    """Those groups alone that the systems read of."""
    if task.fusing is None or task.fuses_queries:
        return Layout(task.layout.dimension)
    return Layout(task.layout.dimension, "total" if task.layout.keep == "total" else "language", task.fusing.languages)


@contextmanager
def scratch_ledger(ledger: ShardLedger, layout: Layout) -> Iterator[ShardLedger]:
    """Of one shard, beside the true one, so that its disk is the one that is timed."""
    with tempfile.TemporaryDirectory(dir=ledger.folder.parent) as name:
        yield create_embeddings(Path(name), 1, layout, {})


def write_random(ledger: ShardLedger, layout: Layout, num_rows: int, random: np.random.Generator) -> None:
    with writing_shard(ledger, 0, [str(row) for row in range(num_rows)]) as writer:
        for start in range(0, num_rows, _FIRST_ROWS):
            rows = slice(start, min(start + _FIRST_ROWS, num_rows))
            shape = 1 + len(layout.groups), rows.stop - start, layout.dimension
            vectors_GND = random.standard_normal(shape, np.float32)
            generated = (vectors_GND[1:], np.ones(shape[:2], np.int64)[1:]) if layout.groups else ()
            writer.put(rows, vectors_GND[0], *generated)


def _forget(folder: Path, wanted: bool) -> None:
    """What memory does not hold is read from the disk, and so are these files, if it is `wanted`."""
    if not wanted or not hasattr(os, "posix_fadvise"):
        return
    for path in filter(Path.is_file, folder.rglob("*")):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
