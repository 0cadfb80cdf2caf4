"""Examples to train on, with what a batch needs to know of each without looking at its texts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError, shown
from xdr.text.languages import language_codes
from xdr.text.records import Passage, TrainingExample

BALANCED = "balanced"


@dataclass(frozen=True)
class TrainingSet:
    """`repeats` is how often an epoch shows each example; a part of a number is a chance."""

    examples: Sequence[TrainingExample]
    repeats: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.examples)

    def languages(self) -> list[tuple[str, str]]:
        """(of the query, of its first passage) by example."""
        return [(example.query.language, example.positives[0].language) for example in self.examples]


def training_set(
    examples: Iterable[TrainingExample],
    language_weights: Mapping[str, float] | str | None = None,
    weight_of: Callable[[TrainingExample], float] | None = None,
) -> TrainingSet:
    """`language_weights` by question language: 2 shows its examples twice an epoch, 0.5 every other time, 0 never;
    `balanced` shows each language as often as the others, in an epoch of unchanged size. `weight_of`, a mixture's, is
    multiplied with them."""
    kept = list(examples)
    if not kept:
        raise UserError("there are no examples to train on: the data has none of split train")
    language_weights = _balanced(kept) if language_weights == BALANCED else language_weights or {}
    if not isinstance(language_weights, Mapping) or not all(isinstance(w, int | float) for w in language_weights.values()):
        raise UserError(f"language_weights is {BALANCED} or {{code: number, ...}}, and {shown(language_weights)} came")
    weights = dict(zip(language_codes(language_weights), language_weights.values(), strict=True))
    present = {example.query.language for example in kept}
    if absent := sorted(set(weights) - present):
        raise UserError(f"no training example asks in '{absent[0]}'; there are {' '.join(sorted(present))}")
    if negative := [code for code, weight in weights.items() if weight < 0]:
        raise UserError(f"a weight is not below zero, that of '{negative[0]}' is {weights[negative[0]]}")
    own = weight_of or (lambda example: 1.0)
    return TrainingSet(kept, np.array([weights.get(example.query.language, 1.0) * own(example) for example in kept]))


def texts_by_language(examples: Iterable[TrainingExample]) -> dict[str, list[str]]:
    """The questions of each language, and what the passages of theirs say, for who must tell languages apart."""
    texts: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for example in examples:
        texts[example.query.language].append(example.query.text)
        passage = example.positives[0]
        if passage.passage_id not in seen:
            seen.add(passage.passage_id)
            texts[passage.language] += [sentence for sentence in passage.text.split(". ") if sentence]
    return dict(texts)


def _balanced(examples: Sequence[TrainingExample]) -> dict[str, float]:
    counts = Counter(example.query.language for example in examples)
    return {language: len(examples) / len(counts) / number for language, number in counts.items()}


class ChosenPassages(NamedTuple):
    """The passages of one example in one epoch, a positive first. `scores` are the teacher's; empty unless all have one."""

    passages: list[Passage]
    scores: list[float]


def choose_passages(example: TrainingExample, num_negatives: int, seed: int, epoch: int) -> ChosenPassages:
    """What `choose_positive` and `choose_negatives` return, with the teacher's scores of these passages."""
    positive = _positive_index(example, seed, epoch)
    negatives = _negative_indices(example, num_negatives, seed, epoch)
    passages = [example.positives[positive], *(example.negatives[i] for i in negatives)]
    if not example.positive_scores or (negatives and not example.negative_scores):
        return ChosenPassages(passages, [])
    return ChosenPassages(passages, [example.positive_scores[positive], *(example.negative_scores[i] for i in negatives)])


def choose_positive(example: TrainingExample, seed: int, epoch: int) -> Passage:
    """One positive: like Tevatron, the first epoch's depends on the query id, and each epoch takes the next one."""
    return example.positives[_positive_index(example, seed, epoch)]


def choose_negatives(example: TrainingExample, number: int, seed: int, epoch: int) -> list[Passage]:
    """Like Tevatron: each query shuffles its negatives once, and each epoch takes the next `number` of them. An example that
    has fewer than `number` negatives draws with replacement."""
    return [example.negatives[i] for i in _negative_indices(example, number, seed, epoch)]


def _positive_index(example: TrainingExample, seed: int, epoch: int) -> int:
    return (_number(seed, example.query.query_id) + epoch) % len(example.positives)


def _negative_indices(example: TrainingExample, number: int, seed: int, epoch: int) -> list[int]:
    if not number:
        return []
    available = len(example.negatives)
    if not available:
        raise UserError(
            f"query '{example.query.query_id}' has no negative passage, and each example is to bring {number}; "
            "set passages_per_query=1, or data.negatives to a TREC run"
        )
    own = _number(seed, example.query.query_id)
    if available < number:
        return [int(i) for i in np.random.default_rng([own, epoch]).integers(available, size=number)]
    order = np.random.default_rng(own).permutation(available)
    start = epoch * number % available
    return [int(order[(start + i) % available]) for i in range(number)]


def key_of(passage_id: str) -> int:
    """A number that stands for a passage id in a tensor: 63 bits, never negative."""
    return int.from_bytes(hashlib.blake2b(passage_id.encode(), digest_size=8).digest(), "little") >> 1


def _number(seed: int, query_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {query_id}".encode(), digest_size=8).digest(), "little") >> 1
