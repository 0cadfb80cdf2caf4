"""A teacher's scores on disk. Each shard is a folder with one file of JSON lines, a line for each query.

FOLDER/shard-00007/scores.jsonl    {"query_id": ..., "scores": {passage id: score, ...}}, positives first
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from xdr.errors import ArtefactError, UserError
from xdr.storage.files import read_json
from xdr.storage.ledger import ShardLedger, refusing_damage
from xdr.teaching.lists import Lists, TaughtList
from xdr.teaching.teacher import Teacher

KIND = "a teacher's scores"
REPORT = "taught.json"
_SCORES = "scores.jsonl"

Scored = tuple[str, dict[str, float]]
"""A query id, and the scores of its passages by id."""


def scored(teacher: Teacher, lists: Sequence[TaughtList]) -> list[Scored]:
    pairs = [(one.query, passage) for one in lists for passage in one.passages]
    scores = iter(teacher.score([query for query, _ in pairs], [passage for _, passage in pairs]))
    found = [(one.query.query_id, {passage.passage_id: next(scores) for passage in one.passages}) for one in lists]
    for query_id, own in found:
        for passage_id, score in own.items():
            if not math.isfinite(score):
                raise UserError(
                    f"a teacher's scores must be finite, got {score} for passage '{passage_id}' of query '{query_id}'. Try "
                    "trainer.precision=32-true"
                )
    return found


def write_scores(scores: Sequence[Scored], folder: Path) -> None:
    """Scores are written in as many digits as float32 has."""
    with (folder / _SCORES).open("w", encoding="utf-8", newline="\n") as file:
        for query_id, own in scores:
            rounded = {passage_id: float(str(np.float32(score))) for passage_id, score in own.items()}
            file.write(json.dumps({"query_id": query_id, "scores": rounded}, ensure_ascii=False) + "\n")


class TaughtScores:
    """Opens a folder with all its shards; a folder that lacks some is refused with their names."""

    def __init__(self, folder: Path) -> None:
        self._ledger = ShardLedger.open(folder, KIND)
        self._ledger.require_complete()
        self.folder, self.made_by, self.fingerprint = folder, self._ledger.made_by, self._ledger.fingerprint

    def __iter__(self) -> Iterator[Scored]:
        for shard in range(self._ledger.num_shards):
            path = self._ledger.file(shard, _SCORES)
            with refusing_damage(path), path.open(encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    yield row["query_id"], row["scores"]


def open_scores(source: str) -> TaughtScores:
    """`source` is an output folder of stage=teach, or the folder that it names."""
    path = Path(source).expanduser()
    if (path / REPORT).is_file():
        path = Path(str(read_json(path / REPORT)["scores"]))
    if not (path / "manifest.json").is_file():
        raise ArtefactError(f"data.teacher_scores must be an output folder of stage=teach, got {source}")
    return TaughtScores(path)


def shares_of_positives(lists: Lists, scores: Iterable[Scored]) -> dict[str, float]:
    """In how many lists a positive has the best score: of all lists, and by language."""
    first: dict[str, list[bool]] = defaultdict(list)
    for one, (query_id, own) in zip(lists.lists, scores, strict=True):
        assert query_id == one.query.query_id
        best = max(own, key=own.__getitem__)
        is_positive = best in {passage.passage_id for passage in one.passages[: one.num_positives]}
        first["all"].append(is_positive)
        first[one.query.language].append(is_positive)
    return {language: sum(values) / len(values) for language, values in first.items()}
