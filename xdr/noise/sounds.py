"""Confusions of characters that are typed by their sound: kana by romaji, Chinese characters by their readings.

`readings.json` is generated (`read_layouts`); `homophones.json`, words of one sound, is written by hand.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from xdr.noise.keyboards import keyboard

_ROWS = """
 あいうえお
kかきくけこ
sさしすせそ
tたちつてと
nなにぬねの
hはひふへほ
mまみむめも
yや ゆ よ
rらりるれろ
wわ   を
gがぎぐげご
zざじずぜぞ
dだぢづでど
bばびぶべぼ
pぱぴぷぺぽ""".strip("\n").split("\n")
_ROMAJI = {kana: row[0].strip() + vowel for row in _ROWS for kana, vowel in zip(row[1:], "aiueo", strict=True) if kana != " "}
"""Nihon-shiki, in which a kana takes one or two keys."""
_SIZES = dict(zip("つやゆよ", "っゃゅょ", strict=True))
_TO_KATAKANA = ord("ア") - ord("あ")


@cache
def kana_neighbours() -> dict[str, tuple[str, ...]]:
    """Of each kana, those whose romaji differ by one neighbouring key (us layout), and its other size (つ, っ)."""
    near = keyboard("us").neighbours
    found: dict[str, tuple[str, ...]] = {}
    for kana, romaji in _ROMAJI.items():
        others = [other for other, letters in _ROMAJI.items() if _one_key_apart(romaji, letters, near)]
        found[kana] = (*others, *_SIZES.get(kana, ""))
    found |= {small: (large,) for large, small in _SIZES.items()}
    return found | {_katakana(kana): tuple(map(_katakana, others)) for kana, others in found.items()}


def _one_key_apart(romaji: str, other: str, near: dict[str, tuple[str, ...]]) -> bool:
    if len(romaji) != len(other):
        return False
    pairs = [(own, letter) for own, letter in zip(romaji, other, strict=True) if own != letter]
    return len(pairs) == 1 and pairs[0][1] in near[pairs[0][0]]


def _katakana(hiragana: str) -> str:
    return chr(ord(hiragana) + _TO_KATAKANA)


@cache
def same_reading(language: str) -> dict[str, str]:
    """Of each character, the common ones with its reading; in a language without readings, none."""
    groups = _file("readings.json").get(language, {}).values()
    return {character: group.replace(character, "") for group in groups for character in group}


@cache
def homophones(language: str) -> dict[str, tuple[str, ...]]:
    """Of each word, the words that sound like it."""
    groups = _file("homophones.json").get(language, [])
    return {word: tuple(other for other in group if other != word) for group in groups for word in group}


@cache
def _file(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
