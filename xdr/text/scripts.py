"""Which writing system a text is in, by the Unicode names of its letters."""

import unicodedata
from collections import Counter
from functools import lru_cache


@lru_cache(maxsize=65536)
def script_of(character: str) -> str | None:
    """The script of a letter or vowel sign ('TELUGU', 'CJK', ...); None for digits, punctuation, blanks, emoji."""
    if unicodedata.category(character)[0] not in "LM":
        return None
    name = unicodedata.name(character, "")
    if name.startswith(("COMBINING", "VARIATION", "MODIFIER")):
        return None
    if "KATAKANA" in name:  # KATAKANA-HIRAGANA PROLONGED SOUND MARK, HALFWIDTH KATAKANA LETTER ...
        return "KATAKANA"
    first = name.split(" ", 1)[0]
    return "LATIN" if first == "FULLWIDTH" else first or None


def count_scripts(text: str) -> Counter[str]:
    """Letters by script."""
    return Counter(script for character in text if (script := script_of(character)))
