"""Training examples, their repeats in an epoch, and the choice of their passages."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError, shown
from xdr.text.languages import language_codes
from xdr.text.records import Passage, Query, TrainingExample

BALANCED = "balanced"

Rewording: TypeAlias = Callable[[Query, int, int], str]
"""Words a query in another way, such as with a spelling mistake: a function of the query, a seed and an epoch."""


@dataclass(frozen=True)
class TrainingSet:
    """`repeats` is how often an epoch shows each example. Its fraction is the probability of one more time. `reword` writes the
    twins anew in each epoch; without it they are those of the examples. `noise` writes noisy versions of queries."""

    examples: Sequence[TrainingExample]
    repeats: NDArray[np.float64]
    reword: Rewording | None = None
    noise: Rewording | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def languages(self) -> list[tuple[str, str]]:
        """(language of the query, language of its first passage) of each example."""
        return [(example.query.language, example.positives[0].language) for example in self.examples]


def training_set(
    examples: Iterable[TrainingExample],
    language_weights: Mapping[str, float] | str | None = None,
    weight_of: Callable[[TrainingExample], float] | None = None,
) -> TrainingSet:
    """`language_weights` are by query language: 2 shows an example twice in an epoch, 0.5 in every other epoch, 0 never.
    `balanced` shows all languages equally often, in an epoch of the same size. `weight_of`, a benchmark's, is a factor."""
    kept = list(examples)
    if not kept:
        raise UserError("there are no examples to train on: the data has none of split train")
    languages = Counter(example.query.language for example in kept)
    if language_weights == BALANCED:
        language_weights = {language: len(kept) / len(languages) / number for language, number in languages.items()}
    weights = _checked_weights(language_weights or {}, languages)
    factor = weight_of or (lambda example: 1.0)
    return TrainingSet(kept, np.array([weights.get(example.query.language, 1.0) * factor(example) for example in kept]))


def _checked_weights(weights: Mapping[str, float] | str, languages: Iterable[str]) -> dict[str, float]:
    if not isinstance(weights, Mapping) or not all(isinstance(weight, int | float) for weight in weights.values()):
        raise UserError(f"language_weights must be {BALANCED} or {{code: number, ...}}, got {shown(weights)}")
    by_code = dict(zip(language_codes(weights), weights.values(), strict=True))
    for code, weight in by_code.items():
        if code not in languages:
            raise UserError(f"no training query is in '{code}'. The languages are {' '.join(sorted(languages))}")
        if weight < 0:
            raise UserError(f"language_weights must be at least 0, got {weight} for '{code}'")
    return by_code


def texts_by_language(examples: Iterable[TrainingExample]) -> dict[str, list[str]]:
    """The queries of each language, and the sentences of the passages in it, to train a language identifier on."""
    texts: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for example in examples:
        texts[example.query.language].append(example.query.text)
        passage = example.positives[0]
        if passage.passage_id not in seen:
            seen.add(passage.passage_id)
            texts[passage.language] += [sentence for sentence in passage.text.split(". ") if sentence]
    return dict(texts)


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


def choose_twins(example: TrainingExample, number: int, seed: int, epoch: int, reword: Rewording | None = None) -> list[str]:
    """Other wordings of the query, each once: fewer than `number` where the example has fewer. They take turns as negatives
    do."""
    if reword is not None:
        return [reword(example.query, _number(seed, str(i)), epoch) for i in range(number)]
    available = len(example.twins)
    return [example.twins[i].text for i in _window(example, available, min(number, available), seed, epoch)]


def choose_versions(query: Query, noisy: float, number: int, seed: int, epoch: int, noise: Rewording | None) -> list[str]:
    """With the probability `noisy`, so many noisy versions of the query, others in each epoch; else none."""
    if noise is None or key_of(f"noisy {seed} {epoch} {query.query_id}") >= noisy * 2**63:
        return []
    return [noise(query, _number(seed, f"version {i}") if i else seed, epoch) for i in range(number)]


def _positive_index(example: TrainingExample, seed: int, epoch: int) -> int:
    return (_number(seed, example.query.query_id) + epoch) % len(example.positives)


def _negative_indices(example: TrainingExample, number: int, seed: int, epoch: int) -> list[int]:
    if not number:
        return []
    available = len(example.negatives)
    if not available:
        raise UserError(
            f"a query must have a negative passage with passages_per_query={number + 1}, got none for query "
            f"'{example.query.query_id}'. Set passages_per_query=1, or data.negatives to a TREC run"
        )
    if available < number:
        rng = np.random.default_rng([_number(seed, example.query.query_id), epoch])
        return [int(i) for i in rng.integers(available, size=number)]
    return _window(example, available, number, seed, epoch)


def _window(example: TrainingExample, available: int, number: int, seed: int, epoch: int) -> list[int]:
    """The next `number` of `available` things, in an order of the query's own."""
    order = np.random.default_rng(_number(seed, example.query.query_id)).permutation(available)
    return [int(order[(epoch * number + i) % available]) for i in range(number)]


def key_of(passage_id: str) -> int:
    """A number for a passage id in a tensor: 63 bits, never negative."""
    return int.from_bytes(hashlib.blake2b(passage_id.encode(), digest_size=8).digest(), "little") >> 1


def _number(seed: int, query_id: str) -> int:
    return key_of(f"{seed} {query_id}")
