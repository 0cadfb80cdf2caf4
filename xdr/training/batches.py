"""The examples of each batch. They depend on the training set, the seed and the epoch alone.

`mixed`           any examples
`monolingual`     queries of one language, passages of one language
`cross_lingual`   queries with passages in another language, languages mixed
`hybrid`          with probability `monolingual_share` a batch whose queries and passages are all in one language, else a
                  cross-lingual one (Elmahdy et al., 2024)
`by_passage`      up to `queries_per_passage` queries with the same passage follow each other, so that a causal generator reads
                  their passage once
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xdr.data.training_set import TrainingSet, choose_positive
from xdr.errors import UserError

Batches = Literal["mixed", "monolingual", "cross_lingual", "hybrid", "by_passage"]
Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class BatchSettings:
    """`size` counts the queries of all processes together, without their twins. `language_weights` is `balanced` or a number
    for each language. A query is noisy with the probability `noisy`. Of `hardest_of` versions, training takes those with the
    highest losses. A list of two numbers goes from the one at the start of the training to the other at its end."""

    size: int
    passages_per_query: int
    order: Batches
    monolingual_share: float
    language_weights: Mapping[str, float] | str | None
    num_workers: int
    queries_per_passage: int = 16
    twins_per_query: int = 0
    noisy: float | list[float] = 0.0
    hardest_of: int | list[int] = 1

    def __post_init__(self) -> None:
        for name, least in (("queries_per_passage", 1), ("twins_per_query", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not all(0 <= value <= 1 for value in _ends("noisy", self.noisy)):
            raise UserError(f"noisy must be from 0 to 1, got {self.noisy}")
        if min(_ends("hardest_of", self.hardest_of)) < 1:
            raise UserError(f"hardest_of must be at least 1, got {self.hardest_of}")
        if self.most_noise.versions > 1:
            self._check_choice()

    def _check_choice(self) -> None:
        got = f"with data.batches.hardest_of={self.hardest_of}"
        if not (self.twins_per_query or self.most_noise.share):
            raise UserError(
                f"data.batches.noisy must be above 0 {got}, got {self.noisy}. Set it, or data.batches.twins_per_query with "
                "data.twins=noise"
            )
        if self.twins_per_query and self.most_noise.share:
            raise UserError(
                f"data.batches.noisy must be 0 {got} and twins, got {self.noisy}. The hardest version is a twin of its query, "
                "or takes its place"
            )
        if self.twins_per_query > min(_ends("hardest_of", self.hardest_of)):
            raise UserError(f"data.batches.twins_per_query must be at most hardest_of {got}, got {self.twins_per_query}")

    @property
    def most_noise(self) -> "Noise":
        return Noise(max(_ends("noisy", self.noisy)), int(max(_ends("hardest_of", self.hardest_of))))

    def noisiest(self) -> "BatchSettings":
        """Settings that have from the first step on what these have at most."""
        return replace(self, noisy=self.most_noise.share, hardest_of=self.most_noise.versions)

    def noise_at(self, progress: float) -> "Noise":
        """The noise at a point of the training, from 0 to 1."""
        share, versions = (
            first + (last - first) * min(progress, 1.0)
            for first, last in (_ends("noisy", self.noisy), _ends("hardest_of", self.hardest_of))
        )
        return Noise(share, round(versions))


class Noise(NamedTuple):
    """The share of noisy queries, and the number of versions that the hardest is chosen from."""

    share: float
    versions: int


def _ends(name: str, value: float | list[float] | list[int]) -> tuple[float, float]:
    """The numbers at the start of a training and at its end."""
    values = value if isinstance(value, list) else [value, value]
    if len(values) != 2:
        raise UserError(f"{name} must be a number, or one for the start of the training and one for its end, got {values}")
    return values[0], values[1]


def epoch_batches(data: TrainingSet, settings: BatchSettings, seed: int, epoch: int) -> list[Rows]:
    """Full batches. Examples that would make a smaller one are left out; another epoch has another order."""
    kind, batch_size = settings.order, settings.size
    rng = np.random.default_rng([seed, epoch])
    rows = _repeated(data, rng)
    if kind == "hybrid":
        return _hybrid(data, rows, batch_size, settings.monolingual_share, rng)
    if kind == "monolingual":
        batches = _monolingual(data, rows, batch_size, rng)
    elif kind == "by_passage":
        batches = _cut(_by_passage(data, rows, settings.queries_per_passage, seed, epoch, rng), batch_size)
    else:
        batches = _cut(rng.permutation(rows if kind == "mixed" else _across(data, rows)), batch_size)
    if not batches:
        pools = [rows] if kind in ("mixed", "by_passage") else [_across(data, rows)]
        if kind == "monolingual":
            pools = [np.array(group) for group in _by_languages(data, rows)]
        largest = max(map(len, pools), default=0)
        raise UserError(
            f"a {kind} batch must have {batch_size:,} examples, got {largest:,} of {len(rows):,} that can be in one. "
            "Lower data.batches.size, or choose another data.batches.order"
        )
    return batches


def _repeated(data: TrainingSet, rng: np.random.Generator) -> Rows:
    whole = np.floor(data.repeats)
    extra = rng.random(len(data)) < data.repeats - whole
    return np.repeat(np.arange(len(data)), (whole + extra).astype(np.int64))


def _cut(rows: Rows, batch_size: int) -> list[Rows]:
    return [rows[start : start + batch_size] for start in range(0, len(rows) - batch_size + 1, batch_size)]


def _monolingual(data: TrainingSet, rows: Rows, batch_size: int, rng: np.random.Generator) -> list[Rows]:
    batches = [batch for group in _by_languages(data, rows) for batch in _cut(rng.permutation(group), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _by_languages(data: TrainingSet, rows: Rows) -> list[list[int]]:
    """A group for each pair of a query language and a passage language."""
    languages = data.languages()
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        groups[languages[row]].append(int(row))
    return [groups[key] for key in sorted(groups)]


def _across(data: TrainingSet, rows: Rows) -> Rows:
    languages = data.languages()
    return np.array([row for row in rows if languages[row][0] != languages[row][1]], dtype=np.int64)


def _by_passage(data: TrainingSet, rows: Rows, most: int, seed: int, epoch: int, rng: np.random.Generator) -> Rows:
    """The rows in an order in which at most `most` of one passage, of this epoch, follow each other."""
    of_passage: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        of_passage[choose_positive(data.examples[row], seed, epoch).passage_id].append(int(row))
    runs = [run for own in of_passage.values() for run in np.array_split(rng.permutation(own), -(-len(own) // most))]
    return np.concatenate([runs[i] for i in rng.permutation(len(runs))])


def _hybrid(data: TrainingSet, rows: Rows, batch_size: int, share: float, rng: np.random.Generator) -> list[Rows]:
    across = _across(data, rows)
    same = rows[~np.isin(rows, across)]
    pools = [_monolingual(data, same, batch_size, rng), _cut(rng.permutation(across), batch_size)]
    if not all(pools):
        raise UserError(
            f"hybrid batches must have data.batches.size={batch_size:,} examples with query and passage in one language, and "
            f"as many across languages, got {len(same):,} in all languages, and {len(across):,}"
        )
    batches: list[Rows] = []
    used = [0, 0]
    for _ in range(sum(map(len, pools))):
        pool = 0 if rng.random() < share else 1
        batches.append(pools[pool][used[pool] % len(pools[pool])])  # begins again after the last
        used[pool] += 1
    return batches


def shares(rows: Rows, rank: int, world: int) -> Rows:
    """One process's part of a batch. All parts have the same size."""
    size = len(rows) // world
    return rows[rank * size : (rank + 1) * size]


def check_batch_size(batch_size: int, world: int) -> None:
    if batch_size % world:
        raise UserError(f"batch_size must be a multiple of the {world} processes, got {batch_size}")
