"""Which examples make a batch: a function of the training set, the seed and the epoch alone.

`mixed`           any examples
`monolingual`     questions of one language, passages of one language
`cross_lingual`   every question with a passage in another language, languages mixed
`hybrid`          each batch is monolingual, question and passage in the same language, with probability
                  `monolingual_share`, else cross-lingual (Elmahdy et al., 2024)
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xdr.data.training_set import TrainingSet
from xdr.errors import UserError

Batches = Literal["mixed", "monolingual", "cross_lingual", "hybrid"]
Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class BatchSettings:
    """`size` counts the queries of all processes together. `language_weights` is `balanced` or a number for each language."""

    size: int
    passages_per_query: int
    order: Batches
    monolingual_share: float
    language_weights: Mapping[str, float] | str | None
    num_workers: int


def epoch_batches(
    data: TrainingSet, kind: Batches, batch_size: int, monolingual_share: float, seed: int, epoch: int
) -> list[Rows]:
    """Whole batches; the few examples that would make a smaller one wait for another epoch's order."""
    rng = np.random.default_rng([seed, epoch])
    rows = _repeated(data, rng)
    if kind == "mixed":
        batches = _cut(rng.permutation(rows), batch_size)
    elif kind == "monolingual":
        batches = _of_one_language(data, rows, batch_size, rng)
    elif kind == "cross_lingual":
        batches = _cut(rng.permutation(_across(data, rows)), batch_size)
    else:
        batches = list(_hybrid(data, rows, batch_size, monolingual_share, rng))
    if not batches:
        alike = [_across(data, rows)] if kind == "cross_lingual" else [rows] if kind == "mixed" else _by_languages(data, rows)
        raise UserError(
            f"of {len(rows):,} examples at most {max(map(len, alike), default=0):,} can stand in one {kind} batch, which takes "
            f"{batch_size:,}; lower data.batches.size, or choose another data.batches.order"
        )
    return batches


def _repeated(data: TrainingSet, rng: np.random.Generator) -> Rows:
    whole = np.floor(data.repeats)
    extra = rng.random(len(data)) < data.repeats - whole
    return np.repeat(np.arange(len(data)), (whole + extra).astype(np.int64))


def _cut(rows: Rows, batch_size: int) -> list[Rows]:
    return [rows[start : start + batch_size] for start in range(0, len(rows) - batch_size + 1, batch_size)]


def _of_one_language(data: TrainingSet, rows: Rows, batch_size: int, rng: np.random.Generator) -> list[Rows]:
    batches = [batch for group in _by_languages(data, rows) for batch in _cut(rng.permutation(group), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _by_languages(data: TrainingSet, rows: Rows) -> list[list[int]]:
    """A group for each language of questions with each language of passages."""
    languages = data.languages()
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        groups[languages[row]].append(int(row))
    return [groups[key] for key in sorted(groups)]


def _across(data: TrainingSet, rows: Rows) -> Rows:
    languages = data.languages()
    return np.array([row for row in rows if languages[row][0] != languages[row][1]], dtype=np.int64)


def _hybrid(data: TrainingSet, rows: Rows, batch_size: int, share: float, rng: np.random.Generator) -> Iterator[Rows]:
    languages = data.languages()
    same = np.array([row for row in rows if languages[row][0] == languages[row][1]], dtype=np.int64)
    pools = [_of_one_language(data, same, batch_size, rng), _cut(rng.permutation(_across(data, rows)), batch_size)]
    if not pools[0] or not pools[1]:
        raise UserError(
            "hybrid batches need examples with question and passage in one language, and others across languages, at least "
            f"data.batches.size={batch_size:,} of one language and of the others; there are {len(same):,} in all languages and "
            f"{len(rows) - len(same):,}"
        )
    turns = [0, 0]
    for _ in range(len(pools[0]) + len(pools[1])):  # a pool that is used up begins again
        which = 0 if rng.random() < share else 1
        yield pools[which][turns[which] % len(pools[which])]
        turns[which] += 1


def shares(rows: Rows, rank: int, world: int) -> Rows:
    """One process's part of a batch: equal for all."""
    each = len(rows) // world
    return rows[rank * each : (rank + 1) * each]


def check_batch_size(batch_size: int, world: int) -> None:
    if batch_size % world:
        raise UserError(f"batch_size={batch_size} cannot be shared equally by {world} processes; make it a multiple of {world}")
