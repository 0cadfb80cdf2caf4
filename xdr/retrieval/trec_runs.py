"""TREC runs: `query_id Q0 passage_id rank score tag`, separated by blanks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xdr.data.problems import Problems
from xdr.data.qrels import read_fields
from xdr.errors import DataError, shown
from xdr.storage.files import replacing_file

Run: TypeAlias = dict[str, dict[str, float]]
"""query id -> passage id -> score. Passages descend by score; equal scores ascend by passage id."""


def read_run(path: str | Path, problems: Problems | None = None) -> Run:
    """Reads a TREC run, whatever the order of its lines.

    >>> write_run("example.trec", {"q1": {"p7": 2.5, "p2": 1.0}})
    >>> read_run("example.trec")
    {'q1': {'p7': 2.5, 'p2': 1.0}}
    """

    def parse(fields: list[str]) -> tuple[str, str, float]:
        try:
            return fields[0], fields[2], float(fields[4])
        except ValueError:
            raise ValueError(f"score must be a number, got {shown(fields[4])}") from None

    run: Run = {}
    for query_id, passage_id, score in read_fields(path, problems or Problems(strict=True), 6, parse):
        run.setdefault(query_id, {})[passage_id] = score
    return {query_id: best_first(scores) for query_id, scores in run.items()}


def best_first(scores: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def write_run(path: str | Path, run: Mapping[str, Mapping[str, float]], tag: str = "xdr") -> None:
    """Writes a TREC run. Scores are rounded to float32, and descend strictly: see `write_rankings`."""
    ordered = ((query_id, best_first(scores)) for query_id, scores in run.items())
    rankings = ((query_id, list(scores), np.array(list(scores.values()), np.float32)) for query_id, scores in ordered)
    write_rankings(Path(path), rankings, tag)


def write_rankings(path: Path, rankings: Iterable[tuple[str, Sequence[str], NDArray[np.float32]]], tag: str) -> None:
    """Writes query ids, each with its passage ids and scores, best first.

    Readers order by score and break ties in different ways: trec_eval, in float32, by descending id. Hence the scores of a
    query descend strictly: one that is not below the score before it is written as the next smaller float32. All other scores
    are written in full, and read back unchanged.
    """
    _require_fields("system", [tag], path)
    with replacing_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, passage_ids, scores_K in rankings:
            _require_fields("query", [query_id], path)
            _require_fields("passage", passage_ids, path)
            scores = strictly_descending(scores_K).tolist()
            file.writelines(
                f"{query_id} Q0 {passage_id} {rank} {score!r} {tag}\n"
                for rank, (passage_id, score) in enumerate(zip(passage_ids, scores, strict=True), start=1)
            )


def _require_fields(kind: str, names: Sequence[str], path: Path) -> None:
    if " ".join(names).split() == list(names):
        return
    name = next(name for name in names if name.split() != [name])
    raise DataError(f"a {kind} id of a TREC run must not be empty or contain blanks, got {shown(name)}", file=path)


def strictly_descending(scores_K: NDArray[np.float32]) -> NDArray[np.float32]:
    if (scores_K[1:] < scores_K[:-1]).all():
        return scores_K
    bits_K = scores_K.view(np.int32).astype(np.int64)
    steps_K = np.where(bits_K < 0, -(bits_K & 0x7FFFFFFF), bits_K)  # neighbouring float32 numbers are one step apart
    ranks_K = np.arange(len(scores_K))
    steps_K = np.minimum.accumulate(steps_K + ranks_K) - ranks_K
    return np.where(steps_K < 0, -steps_K | 0x80000000, steps_K).astype(np.uint32).view(np.float32)
