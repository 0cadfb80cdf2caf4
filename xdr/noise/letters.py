"""A word as a list of units that edits work on, and whether a list of units is valid text.

Units are letters with their marks. They are single code points in Thai and in the scripts of India, where vowels are typed like
letters; and keystrokes in Hangul.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from xdr.noise.hangul import JAMO, composed, is_syllable, keystrokes

_START = "\n"
_THAI_UPPER, _THAI_TONES, _THAI_LEADING, _THAI_FOLLOWING = "ัิีึืฺุู", "่้๊๋็์ํ", "เแโใไ", "ะาำ"
_SMALL_KANA = "ぁぃぅぇぉゃゅょァィゥェォャュョ"

_KINDS = {
    "small kana": _SMALL_KANA,
    "long kana": "っッー",
    "Thai upper": _THAI_UPPER,
    "Thai tone": _THAI_TONES,
    "Thai leading": _THAI_LEADING,
    "Thai following": _THAI_FOLLOWING,
    "Thai long ru": "ๅ",
    "Thai ru": "ฤฦ",
}
_MAY_FOLLOW = {
    "vowel sign": {"letter", "nukta"},
    "virama": {"letter", "nukta"},
    "nukta": {"letter"},
    "modifier": {"letter", "nukta", "vowel", "vowel sign"},
    "Thai upper": {"Thai letter"},
    "Thai tone": {"Thai letter", "Thai upper"},
    "Thai following": {"Thai letter", "Thai tone", "Thai following"},
    "Thai long ru": {"Thai ru"},
    "small kana": {"kana"},
    "long kana": {"kana", "small kana"},
    "mark": {"letter", "vowel", "mark"},
}
"""By kind of character, the kinds that it may follow. Others may follow any."""
_VOWELS = {"A", "AA", "I", "II", "U", "UU", "E", "EE", "AI", "O", "OO", "AU"}
_INDIAN = ("BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA", "MALAYALAM", "ORIYA", "TAMIL", "TELUGU")
_MAY_PRECEDE = {"Thai leading": {"Thai letter", "Thai ru"}, "virama": {"letter", "start"}}


@lru_cache(maxsize=65536)
def kind_of(character: str) -> str:
    """As in `_MAY_FOLLOW`."""
    if character == _START:
        return "start"
    for kind, characters in _KINDS.items():
        if character in characters:
            return kind
    name = unicodedata.name(character, "")
    if name.startswith("THAI"):
        return "Thai letter"
    if name.startswith(("HIRAGANA", "KATAKANA")):
        return "kana"
    if unicodedata.category(character)[0] == "M":
        for kind in ("vowel sign", "virama", "nukta"):
            if kind.upper() in name:
                return kind
        return "modifier" if " SIGN " in name and not name.startswith("COMBINING") else "mark"
    return "vowel" if name.startswith(_INDIAN) and name.rsplit(" ", 1)[1] in _VOWELS else "letter"


def num_broken(text: str) -> int:
    """How many characters stand where they cannot: a mark without a letter, a jamo alone, a Thai vowel without a consonant."""
    kinds = [kind_of(character) for character in (_START, *text)]
    after = sum(previous not in _MAY_FOLLOW.get(kind, {previous}) for previous, kind in pairwise(kinds))
    before = sum(following not in _MAY_PRECEDE.get(kind, {following}) for kind, following in pairwise([*kinds, "start"]))
    return after + before + sum(character in JAMO for character in text)


def units_of(word: str) -> list[str]:
    units: list[str] = []
    for character in word:
        if is_syllable(character):
            units += keystrokes(character)
        elif units and _belongs_to_previous(character):
            units[-1] += character
        else:
            units.append(character)
    return units


def _belongs_to_previous(character: str) -> bool:
    joiner = unicodedata.category(character) == "Cf"
    return joiner or kind_of(character) in ("mark", "nukta") or unicodedata.name(character, "").startswith("COMBINING")


def joined(units: Sequence[str]) -> str | None:
    """The word; None if keystrokes leave a jamo alone."""
    parts = []
    for typed, run in groupby(units, key=JAMO.__contains__):
        part: str | None = "".join(run)
        if typed and (part := composed(part or "")) is None:
            return None
        parts.append(part or "")
    return "".join(parts)


def is_sound(changed: str, original: str) -> bool:
    """Whether an edit may leave this text: something else to a reader, with nothing broken that was not before."""
    normal = unicodedata.is_normalized("NFC", changed) or not unicodedata.is_normalized("NFC", original)
    differs = bool(changed) and changed.casefold() != original.casefold()
    return differs and normal and num_broken(changed) <= num_broken(original)


THAI_CLUSTER = re.compile(f"[{_THAI_LEADING}]?[ก-ฮ][{_THAI_UPPER}{_THAI_TONES}]*[{_THAI_FOLLOWING}]*|.", re.DOTALL)
