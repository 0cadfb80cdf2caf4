"""Keyboards: which characters lie on neighbouring keys. The layouts are files in `layouts/`, which name their source."""

import json
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xdr.text.scripts import script_of

LAYOUT_OF_LANGUAGE = {"de": "de", "es": "es", "fa": "ir", "fi": "fi", "fr": "fr", "tr": "tr"}
"""For languages whose layout differs from that of other languages in their script."""
LAYOUT_OF_SCRIPT = {
    "LATIN": "us",
    "ARABIC": "ara",
    "BENGALI": "in_ben_inscript",
    "CYRILLIC": "ru",
    "DEVANAGARI": "in_deva",
    "GREEK": "gr",
    "HANGUL": "dubeolsik",
    "TELUGU": "in_tel",
    "THAI": "th",
}
_OFFSETS = {"E": (0, 0.0), "D": (1, 0.5), "C": (2, 0.75), "B": (3, 1.25)}
"""By ISO 9995 row: its number from the top, and how far it is shifted to the right, in widths of a key."""


@dataclass(frozen=True)
class Keyboard:
    """`letters` are the letters and marks that it types without Shift. `neighbours` are those of the keys around a letter's,
    with Shift where the letter needs it; and, in scripts without capitals, the other letter of the same key."""

    letters: tuple[str, ...]
    neighbours: dict[str, tuple[str, ...]]


def keyboard_for(script: str, language: str) -> Keyboard | None:
    """None for a script without a layout, such as kana, which are typed by their sound."""
    name = LAYOUT_OF_LANGUAGE.get(language)
    if name is None or script not in _scripts(name):
        name = LAYOUT_OF_SCRIPT.get(script)
    return None if name is None else keyboard(name)


@cache
def keyboard(name: str) -> Keyboard:
    """The layout in `layouts/NAME.json`."""
    file = Path(__file__).parent / "layouts" / f"{name}.json"
    rows: dict[str, list[list[str]]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    keys = {
        (_OFFSETS[row][0], number + _OFFSETS[row][1]): [_letter(character) for character in characters]
        for row, of_row in rows.items()
        for number, characters in enumerate(of_row)
    }
    neighbours: dict[str, list[str]] = defaultdict(list)
    for (row, place), own in keys.items():
        around = [of_key for (other, x), of_key in keys.items() if _adjacent(other - row, x - place)]
        for level, letter in enumerate(own):
            near = [of_key[level] for of_key in around] + [own[1 - level]] * (letter.lower() == letter.upper())
            neighbours[letter] += [other for other in near if other not in ("", letter)]
    letters = tuple(sorted({own[0] for own in keys.values()} - {""}))
    return Keyboard(letters, {letter: tuple(dict.fromkeys(near)) for letter, near in neighbours.items() if letter})


def _adjacent(rows: int, keys: float) -> bool:
    """In the same row the keys on both sides; in the rows above and below the two keys that touch."""
    return abs(keys) == 1 if rows == 0 else abs(rows) == 1 and abs(keys) < 1


def _letter(character: str) -> str:
    """The character in NFC if it is a letter or mark of a script; ligatures and the Arabic tatweel are not."""
    if not character or unicodedata.category(character) == "Lm" or script_of(character) is None:
        return ""
    return "" if "LIGATURE" in unicodedata.name(character) else unicodedata.normalize("NFC", character)


@cache
def _scripts(name: str) -> set[str | None]:
    return {script_of(letter[0]) for letter in keyboard(name).letters}
