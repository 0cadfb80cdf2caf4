"""Hangul as it is typed: syllables to keystrokes, and back."""

import re
from itertools import chain

_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
_FIRST = 0xAC00
_TYPED = {
    written: first + second
    for written, first, second in zip(
        "ㅘㅙㅚㅝㅞㅟㅢㄳㄵㄶㄺㄻㄼㄽㄾㄿㅀㅄ",
        "ㅗㅗㅗㅜㅜㅜㅡㄱㄴㄴㄹㄹㄹㄹㄹㄹㄹㅂ",
        "ㅏㅐㅣㅓㅔㅣㅣㅅㅈㅎㄱㅁㅂㅅㅌㅍㅎㅅ",
        strict=True,
    )
}
"""Jamo that take two keystrokes."""
_WRITTEN = {strokes: jamo for jamo, strokes in _TYPED.items()}

JAMO = frozenset(chain(_INITIALS, _VOWELS, *_FINALS))
"""What a keystroke writes, and a text should not hold alone."""


def _one_of(jamo: str | tuple[str, ...]) -> str:
    """A pattern of the keystrokes of each, the longest first."""
    return "|".join(sorted((_TYPED.get(one, one) for one in jamo if one), key=len, reverse=True))


_SYLLABLE = re.compile(f"([{_INITIALS}])({_one_of(_VOWELS)})((?:{_one_of(_FINALS)})(?![{_VOWELS}]))?")


def is_syllable(character: str) -> bool:
    return _FIRST <= ord(character) < _FIRST + len(_INITIALS) * len(_VOWELS) * len(_FINALS)


def keystrokes(syllable: str) -> str:
    """`값` is ㄱㅏㅂㅅ."""
    initial_and_vowel, final = divmod(ord(syllable) - _FIRST, len(_FINALS))
    initial, vowel = divmod(initial_and_vowel, len(_VOWELS))
    return "".join(_TYPED.get(jamo, jamo) for jamo in (_INITIALS[initial], _VOWELS[vowel], _FINALS[final]))


def composed(strokes: str) -> str | None:
    """What an input method writes for these keystrokes; None if a consonant or vowel is left alone."""
    syllables, at = "", 0
    while at < len(strokes):
        found = _SYLLABLE.match(strokes, at)
        if found is None:
            return None
        initial, vowel, final = found[1], _WRITTEN.get(found[2], found[2]), found[3] or ""
        place = _INITIALS.index(initial) * len(_VOWELS) + _VOWELS.index(vowel)
        syllables += chr(_FIRST + place * len(_FINALS) + _FINALS.index(_WRITTEN.get(final, final)))
        at = found.end()
    return syllables
