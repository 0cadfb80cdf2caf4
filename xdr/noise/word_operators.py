"""Operators on whole words. Each changes a text at one of its words, and returns whether it could."""

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

from xdr.noise.diacritics import without_diacritics
from xdr.noise.edits import shuffled
from xdr.noise.question_words import question_words
from xdr.noise.words import Words
from xdr.text.scripts import script_of

WordOperator: TypeAlias = Callable[[Words, int, str, int, Random], bool]
"""The text, the place of a word, the language, the window, randomness."""

LONGEST_PHRASE = 3
_WITHOUT_BLANKS = {"CJK", "THAI"}


def _drop_diacritics(words: Words, place: int, language: str, window: int, random: Random) -> bool:
    word = words.words[place]
    words.words[place] = without_diacritics(word)
    return words.words[place] != word


def _move(words: Words, place: int, language: str, window: int, random: Random) -> bool:
    """Swaps the word with one of the next `window`. The parts of Chinese and Thai text are not words, and stay."""
    for other in shuffled(range(place + 1, min(place + 1 + window, len(words.words))), random):
        one, two = words.words[place], words.words[other]
        if one and two and one != two and (language == "ja" or not _without_blanks(one + two)):
            words.words[place], words.words[other] = two, one
            return True
    return False


def _switch(words: Words, place: int, language: str, window: int, random: Random) -> bool:
    """The question phrase that the word is in becomes English."""
    for first, number, english in _phrases(words, language):
        if first <= place < first + number:
            begins_upper = words.words[first][0].isupper()
            words.replace(first, number, english.capitalize() if begins_upper else english)
            return True
    return False


WORD_OPERATORS: dict[str, WordOperator] = {"diacritics": _drop_diacritics, "word_order": _move, "code_switching": _switch}


def _phrases(words: Words, language: str) -> Iterator[tuple[int, int, str]]:
    """From the left, the longest ones: the place of the first word, the number of words, the English."""
    english, first = question_words(language), 0
    while english and first < len(words.words):
        number = next((n for n in range(LONGEST_PHRASE, 0, -1) if _phrase(words, first, n) in english), 0)
        if number:
            yield first, number, english[_phrase(words, first, number)]
        first += number or 1


def _phrase(words: Words, first: int, number: int) -> str:
    last = first + number
    together = all(words.between[place] == " " for place in range(first + 1, last)) and last <= len(words.words)
    return " ".join(words.words[first:last]).lower() if together else ""


def _without_blanks(text: str) -> bool:
    return bool(_WITHOUT_BLANKS & {script_of(character) for character in text})
