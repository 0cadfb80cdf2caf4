"""Edits of a word, letter by letter.

Each operator proposes what can stand at a place of the word. An edit is the first proposal, in a random order, that is sound.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple, TypeAlias, TypeVar

from xdr.noise.hangul import JAMO
from xdr.noise.keyboards import Keyboard, keyboard_for
from xdr.noise.letters import is_sound, joined, kind_of, units_of
from xdr.noise.sounds import homophones, kana_neighbours, same_reading
from xdr.text.scripts import count_scripts, script_of

Item = TypeVar("Item")
Units: TypeAlias = Sequence[str]


class Typing(NamedTuple):
    """How a word is typed. There is no keyboard for characters that are typed by their sound, in this language."""

    keyboard: Keyboard | None
    language: str

    @property
    def letters(self) -> Sequence[str]:
        return () if self.keyboard is None else self.keyboard.letters

    def confused_with(self, unit: str) -> Sequence[str]:
        """Returns the letters that may be typed by mistake for this one. Where the keyboard lacks an accented letter, these are
        the neighbours of the letter without its accents."""
        if self.keyboard is None:
            return kana_neighbours().get(unit) or same_reading(self.language).get(unit, "")
        near = self.keyboard.neighbours
        return near.get(unit) or near.get(unicodedata.normalize("NFD", unit)[0], ())


Propose: TypeAlias = Callable[[Units, int, Typing, Random], Iterator[Units]]


def shuffled(items: Sequence[Item], random: Random) -> list[Item]:
    """`Random.random` is the one method whose numbers Python promises not to change."""
    keys = [random.random() for _ in items]
    return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]


def edit_word(word: str, operator: str, language: str, random: Random, original: str = "") -> str | None:
    """The word after one edit, which does not lead to `original`; None where the operator finds nothing to do."""
    for proposal in _proposed(word, operator, language, random):
        edited = proposal and _capitalized_as(word, proposal, language)
        if edited and edited != original and is_sound(edited, word):
            return edited
    return None


def _capitalized_as(word: str, edited: str, language: str) -> str:
    """A word that begins with a capital, and has no other, stays so: Shift is held for the first letter, whichever it is."""
    if not (word[0].isupper() and word[1:].islower()):
        return edited
    first = "İ" if language == "tr" and edited[0] == "i" else edited[0].upper()
    return first + edited[1:].replace("İ", "i").lower()


def _proposed(word: str, operator: str, language: str, random: Random) -> Iterator[str | None]:
    if operator in ("substitute", "keyboard"):
        yield from shuffled(_words_of_one_sound(word, language), random)
    scripts = count_scripts(word).most_common(1)
    typing = Typing(keyboard_for(scripts[0][0], language) if scripts else None, language)
    units = units_of(word)
    for place in shuffled(range(len(units)), random):
        yield from map(joined, LETTER_OPERATORS[operator](units, place, typing, random))


def num_letters(word: str) -> int:
    """A Chinese character or kana counts 2, since each is a syllable."""
    return sum(2 if script_of(unit[0]) in ("CJK", "HIRAGANA", "KATAKANA") else 1 for unit in units_of(word))


def _delete(units: Units, place: int, typing: Typing, random: Random) -> Iterator[Units]:
    yield [*units[:place], *units[place + 1 :]]


def _insert(units: Units, place: int, typing: Typing, random: Random) -> Iterator[Units]:
    """Behind the place: a letter of the keyboard; the character itself again where characters are typed by their sound."""
    for letter in shuffled(typing.letters, random) or [units[place]]:
        yield [*units[: place + 1], letter, *units[place + 1 :]]


def _swap(units: Units, place: int, typing: Typing, random: Random) -> Iterator[Units]:
    if place + 1 < len(units):
        yield [*units[:place], units[place + 1], units[place], *units[place + 2 :]]


def _substitute(units: Units, place: int, typing: Typing, random: Random) -> Iterator[Units]:
    """By a letter of the same kind: a vowel sign by a vowel sign."""
    own = _kind(units[place])
    letters = [letter for letter in typing.letters if _kind(letter) == own]
    return _replaced(units, place, letters if typing.keyboard else typing.confused_with(units[place]), random)


def _keyboard(units: Units, place: int, typing: Typing, random: Random) -> Iterator[Units]:
    return _replaced(units, place, typing.confused_with(units[place]), random)


LETTER_OPERATORS: dict[str, Propose] = {
    "delete": _delete,
    "insert": _insert,
    "substitute": _substitute,
    "swap": _swap,
    "keyboard": _keyboard,
}


def _replaced(units: Units, place: int, letters: Sequence[str], random: Random) -> Iterator[Units]:
    for letter in shuffled(letters, random):
        cased = letter.upper() if units[place].isupper() and len(letter.upper()) == 1 else letter
        yield [*units[:place], cased, *units[place + 1 :]]


def _kind(unit: str) -> str:
    if unit in JAMO:
        return "jamo vowel" if unit >= "ㅏ" else "jamo consonant"
    return kind_of(unit[0])


def _words_of_one_sound(word: str, language: str) -> list[str]:
    return [word.replace(own, other) for own, others in homophones(language).items() if own in word for other in others]
