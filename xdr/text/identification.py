"""Which language a short text is in: by its script where that decides, else by an identifier, here character n-grams."""

import unicodedata
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from xdr.errors import ArtefactError, UserError
from xdr.text.languages import find_language
from xdr.text.scripts import count_scripts

MAX_GRAM = 4
_BITS = 14
NUM_BUCKETS = 1 << _BITS
_MAX_TEXTS = 20_000
"""Of a language to learn from, taken evenly from all: more tell no more, and there may be millions."""
_TEXTS_AT_ONCE = 1_000
_FORMAT = 1
"""Goes up when letters or buckets of a text change: what was stored before would then give other answers, in silence."""
_STEPS = 1 << 16
"""Log-probabilities are whole 65536ths. Sums of them are exact in any order, so a text has the same score alone, in any batch
and on every machine."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Identifier(Protocol):
    """What `LanguageCheck` asks of an identifier; another implementation can take the place of `LanguageIdentifier`."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages that it can tell apart."""
        ...

    def identify(self, texts: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[str]:
        """The most likely of its candidates for each text, the first of equals. All candidates are in `languages`."""
        ...


@dataclass(frozen=True, eq=False)
class LanguageIdentifier:
    """Multinomial naive Bayes over buckets of character 1- to 4-grams, every language as likely as any other.

    The last row, B = `NUM_BUCKETS`, is zero and stands for no n-gram.
    """

    languages: tuple[str, ...]
    log_probabilities_BL: NDArray[np.float32]

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The sum of log P(n-gram | language) over a text's n-grams: a row for every text, a column for every language."""
        if not texts:
            return np.zeros((0, len(self.languages)))
        buckets_GC, starts_N = gram_buckets(texts)
        sums_CL = self.log_probabilities_BL[buckets_GC[0]]
        for buckets_C in buckets_GC[1:]:
            sums_CL += self.log_probabilities_BL[buckets_C]  # four numbers of 22 bits: exact in float32
        return np.add.reduceat(sums_CL, starts_N, axis=0, dtype=np.float64)

    def identify(self, texts: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[str]:
        column = {code: place for place, code in enumerate(self.languages)}
        return [
            max(codes, key=lambda code: scores_L[column[code]])
            for codes, scores_L in zip(candidates, self.scores(texts).tolist(), strict=True)
        ]


def train_identifier(texts_by_language: Mapping[str, Sequence[str]]) -> LanguageIdentifier:
    """log((c + 1) / (C + B)), where the counts c of every language are first scaled to the total C of the language that has the
    fewest. Without that, a language with less text than the others is smoothed more, and hardly ever found."""
    languages = tuple(sorted(texts_by_language))
    counts_BL = np.zeros((NUM_BUCKETS, len(languages)))
    for column, language in enumerate(languages):
        counts_BL[:, column] = _count_grams(texts_by_language[language])
        if not counts_BL[:, column].any():
            raise UserError(f"a language is told by its texts, and none with letters came for '{language}'; drop the language")
    totals_L = counts_BL.sum(axis=0)
    smallest = totals_L.min()
    logs_BL = np.log((counts_BL * (smallest / totals_L) + 1) / (smallest + NUM_BUCKETS))
    rounded_BL = np.vstack([np.rint(logs_BL * _STEPS) / _STEPS, np.zeros(len(languages))])
    return LanguageIdentifier(languages, rounded_BL.astype(np.float32))


def _count_grams(texts: Sequence[str]) -> NDArray[np.int64]:
    counts_B = np.zeros(NUM_BUCKETS, np.int64)
    some = [text for text in texts[:: -(-len(texts) // _MAX_TEXTS) or 1] if count_scripts(text)]
    for start in range(0, len(some), _TEXTS_AT_ONCE):
        buckets_GC, _ = gram_buckets(some[start : start + _TEXTS_AT_ONCE])
        counts_B += np.bincount(buckets_GC.ravel(), minlength=NUM_BUCKETS + 1)[:NUM_BUCKETS]
    return counts_B


def save_identifier(identifier: LanguageIdentifier, path: Path) -> None:
    """Equal identifiers give equal bytes. The folder that it goes into is written aside by whoever makes it."""
    with path.open("wb") as file:
        np.savez(
            file,
            format=np.array(_FORMAT),
            languages=np.array(identifier.languages),
            log_probabilities=identifier.log_probabilities_BL,
        )


def load_identifier(path: Path) -> LanguageIdentifier:
    try:
        with np.load(path, allow_pickle=False) as stored:
            version, names, table_BL = int(stored["format"]), stored["languages"], stored["log_probabilities"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtefactError(f"{path} holds no whole language identifier: {error}. Write its generator again") from None
    if version != _FORMAT:
        raise ArtefactError(f"{path} is of format {version}, and this xdr reads {_FORMAT}. Write its generator again")
    if names.dtype.kind != "U" or table_BL.dtype != np.float32 or table_BL.shape != (NUM_BUCKETS + 1, names.size):
        raise ArtefactError(f"{path} is no language identifier: {table_BL.dtype} {table_BL.shape} for {names.size} languages")
    return LanguageIdentifier(tuple(names.tolist()), table_BL)


@dataclass(frozen=True)
class LanguageCheck:
    """Whether a text is in the language that it should be in.

    The candidates of a text are the languages that the identifier knows and in whose scripts at least `minimum_share` of the
    letters are written. A text is wrong if its language is not among them, and right if there is no other; else the identifier
    decides. Without an identifier, and for a language that it does not know, the script decides alone. Then ideographs count as
    Japanese and Chinese alike, and every text in Latin letters counts as Finnish. `how` says where that is so.
    """

    identifier: Identifier | None

    def how(self, language: str) -> Literal["script", "identifier"]:
        """What decides last: the script, where the identifier knows no other language that shares one."""
        scripts = set(find_language(language).scripts)
        shared = any(scripts & set(find_language(other).scripts) for other in self._others(language))
        return "identifier" if shared else "script"

    def is_language(self, text: str, language: str, minimum_share: float = 0.5) -> bool:
        return self.are_languages([text], [language], minimum_share)[0]

    def are_languages(self, texts: Sequence[str], languages: Sequence[str], minimum_share: float = 0.5) -> list[bool]:
        """`is_language` of each text and its language, several times as fast."""
        rivals = [self._rivals(text, code, minimum_share) for text, code in zip(texts, languages, strict=True)]
        right = [codes is not None for codes in rivals]
        if self.identifier is not None:
            contested = [(place, [*codes, languages[place]]) for place, codes in enumerate(rivals) if codes]
            identified = self.identifier.identify([texts[place] for place, _ in contested], [codes for _, codes in contested])
            for (place, _), code in zip(contested, identified, strict=True):
                right[place] = code == languages[place]
        return right

    def _rivals(self, text: str, language: str, minimum_share: float) -> list[str] | None:
        """The other candidates; None if the language itself is no candidate."""
        letters = count_scripts(text)
        total = letters.total()

        def is_candidate(code: str) -> bool:
            return total > 0 and sum(letters[script] for script in find_language(code).scripts) >= minimum_share * total

        return [code for code in self._others(language) if is_candidate(code)] if is_candidate(language) else None

    def _others(self, language: str) -> list[str]:
        """The other languages that the identifier knows; none if it does not know this one."""
        if self.identifier is None or language not in self.identifier.languages:
            return []
        return [code for code in self.identifier.languages if code != language]


class _Letters(dict[int, str]):
    """What `str.translate` makes of a character: letters and vowel signs stay, apostrophes become one, joiners and digits
    go, all else is blank. Punctuation too: English is learned from statements, and a question mark would speak against it."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        category = unicodedata.category(character)
        if character in "'‘’ʼ":
            kept = "'"
        elif category[0] in "LM":
            kept = character
        else:
            kept = "" if category[0] == "N" or category == "Cf" else " "
        self[code_point] = kept
        return kept


_LETTERS = _Letters()


def letters_of(text: str) -> str:
    """Case-folded words with a blank before, between and after them."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return f" {' '.join(folded.translate(_LETTERS).split())} "


def gram_buckets(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bucket of the n-gram that begins at each of the C characters of all texts, a row for every n; `NUM_BUCKETS` where the
    text has ended. And the first character of each text.

    A hash is that of one character less, mixed with the next: golden-ratio multiplication and a shift, modulo 2^64.
    """
    letters = [letters_of(text) for text in texts]
    lengths_N = np.array([len(text) for text in letters])
    text_C = np.repeat(np.arange(len(letters)), lengths_N)
    code_points_C = np.frombuffer("".join(letters).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    buckets_GC = np.full((MAX_GRAM, len(text_C)), NUM_BUCKETS)
    hashes = np.zeros(len(text_C), np.uint64)
    for more in range(MAX_GRAM):
        whole = len(text_C) - more
        hashes = (hashes[:whole] ^ code_points_C[more:]) * _GOLDEN
        hashes ^= hashes >> np.uint64(32)
        in_one_text = text_C[:whole] == text_C[more:]
        buckets_GC[more, :whole] = np.where(in_one_text, hashes >> np.uint64(64 - _BITS), NUM_BUCKETS)
    return buckets_GC, np.cumsum(lengths_N) - lengths_N
