"""Words without their diacritics, as people write them who lack the keys or the time."""

import unicodedata
from collections.abc import Callable

from xdr.text.scripts import script_of

_PLAIN = str.maketrans("đĐłŁøØıɖƉɛƐεɔƆͻᴐɓƁɗƊƙƘƴƳ", "dDlLoOidDeEeoOoobBdDkKyY")
"""Letters that Unicode does not decompose, as people type them: Vietnamese, Fon, Twi, Hausa, Turkish. AfriQA's Twi and Fon have
Greek letters among Latin ones."""
_NUKTA = "\u093c"


def without_diacritics(word: str) -> str:
    """Latin: marks and special letters. Greek: the accents. Cyrillic: ё is е, and stress marks go. Arabic: vowel signs, and the
    hamza and madda over and under letters. Devanagari: the nukta. Marks of other scripts are letters, and stay."""
    scripts = {script_of(character) for character in word}
    if "LATIN" in scripts:
        return _without(word.translate(_PLAIN), unicodedata.combining)
    if "GREEK" in scripts:
        return _without(word, unicodedata.combining)
    if "CYRILLIC" in scripts:
        return _without(word, "\u0308\u0301\u0300".__contains__, keep="йЙїЇ")
    if "ARABIC" in scripts:
        return _without(word, unicodedata.combining)
    return _without(word, _NUKTA.__contains__) if "DEVANAGARI" in scripts else word


def _without(word: str, is_dropped: Callable[[str], object], keep: str = "") -> str:
    parts = [c if c in keep else unicodedata.normalize("NFD", c) for c in word]
    return unicodedata.normalize("NFC", "".join(c for part in parts for c in part if not is_dropped(c)))
