"""Noisy versions of queries: a function of the query, its id, a seed and a version, and of nothing else."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Literal, get_args

from xdr.errors import UserError, did_you_mean
from xdr.noise.edits import LETTER_OPERATORS, edit_word, num_letters, shuffled
from xdr.noise.word_operators import WORD_OPERATORS
from xdr.noise.words import Words
from xdr.text.records import Query

Operator = Literal["delete", "insert", "substitute", "swap", "keyboard", "diacritics", "word_order", "code_switching"]


@dataclass(frozen=True)
class NoisyText:
    """`operators` are those that were applied, in order; none where there was nothing to change."""

    text: str
    operators: tuple[str, ...]


@dataclass(frozen=True)
class QueryNoise:
    """`operators` maps names to weights, by which the operator of each word is drawn. `share` of the words are touched, at
    least one; a word that is edited letter by letter gets `edits` edits, and has at least `shortest` letters. With `word_order`
    a word changes its place with one of the next `window`. `versions` is how many are searched, and take turns in training."""

    operators: Mapping[str, float]
    share: float
    edits: int
    shortest: int
    window: int
    versions: int
    seed: int

    def __post_init__(self) -> None:
        for name, weight in self.operators.items():
            if name not in get_args(Operator):
                remedy = did_you_mean(name, get_args(Operator)) or f"there are {', '.join(get_args(Operator))}"
                raise UserError(f"noise.operators must name operators, got '{name}'; {remedy}")
            if not isinstance(weight, int | float) or isinstance(weight, bool) or weight < 0:
                raise UserError(f"noise.operators.{name} must be a weight of at least 0, got {weight!r}")
        if not any(self.operators.values()):
            raise UserError("noise.operators must have an operator with a weight above 0, got none. Choose one, or noise=none")
        if not 0 < self.share <= 1:
            raise UserError(f"noise.share must be above 0 and at most 1, got {self.share}. Use noise=none for clean queries")
        for name in ("edits", "shortest", "window", "versions"):
            if getattr(self, name) < 1:
                raise UserError(f"noise.{name} must be at least 1, got {getattr(self, name)}")

    def noisy(self, query: Query, version: object) -> NoisyText:
        random = Random(_number(self.seed, query.query_id, version))
        words = Words(query.text, query.language)
        wanted = max(1, round(self.share * len(words.words)))
        touched: list[list[str]] = []
        for place in shuffled(range(len(words.words)), random):
            if len(touched) < wanted and (applied := self._touched(words, place, query.language, random)):
                touched.append(applied)
        return NoisyText(words.text(), tuple(chain(*touched)))

    def rewording(self, query: Query, seed: int, epoch: int) -> str:
        """A version for a training: `versions` of them take turns over the epochs."""
        return self.noisy(query, f"{seed} {epoch % self.versions}").text

    def _touched(self, words: Words, place: int, language: str, random: Random) -> list[str]:
        """What was applied to the word: the first operator, in an order by weights, that finds something to change."""
        for name in self._drawn(random):
            if name in LETTER_OPERATORS:
                applied = self._edited(words, place, name, language, random)
            else:
                applied = [name] * WORD_OPERATORS[name](words, place, language, self.window, random)
            if applied:
                return applied
        return []

    def _edited(self, words: Words, place: int, first: str, language: str, random: Random) -> list[str]:
        """`edits` edits of the word, the first by this operator. None of them leads back to the original."""
        original = word = words.words[place]
        applied: list[str] = []
        if num_letters(original) < self.shortest:
            return applied
        while len(applied) < self.edits:
            names = [name for name in self._drawn(random) if name in LETTER_OPERATORS] if applied else [first]
            found = ((name, edit_word(word, name, language, random, original)) for name in names)
            name, edited = next(((name, edited) for name, edited in found if edited), ("", word))
            if not name:
                break
            word, applied = edited, [*applied, name]
        words.words[place] = word
        return applied

    def _drawn(self, random: Random) -> list[str]:
        """The operators in an order by their weights: drawn without replacement (Efraimidis and Spirakis, 2006)."""
        keys = {name: -math.log(1 - random.random()) / weight for name, weight in self.operators.items() if weight}
        return sorted(keys, key=keys.__getitem__)


def _number(seed: int, query_id: str, version: object) -> int:
    digest = hashlib.blake2b(f"{seed}\0{query_id}\0{version}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")
