"""A text as words and what stands between them.

In text without blanks a word is a question word, or: in Japanese, other characters and the hiragana that follow them; two
Chinese characters; three Thai syllables. These are not what a dictionary calls words, but parts of about their length.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter

from xdr.noise.letters import THAI_CLUSTER
from xdr.noise.question_words import question_words
from xdr.text.scripts import script_of

_HIRAGANA, _KATAKANA, _CHINESE = "ぁ-ゖ", "ァ-ヺー", "\u3400-\u9fff々"
_JAPANESE = re.compile(f"[{_HIRAGANA}]+|[{_KATAKANA}]+[{_HIRAGANA}]*|[{_CHINESE}]+[{_HIRAGANA}]*|.", re.DOTALL)
_TWO_CHINESE = re.compile(f"[{_CHINESE}]{{1,2}}|[^{_CHINESE}]+", re.DOTALL)


class Words:
    """`words[i]` stands between `between[i]` and `between[i + 1]`."""

    def __init__(self, text: str, language: str) -> None:
        self.words: list[str] = []
        self.between: list[str] = [""]
        for part, is_word in _parts(text):
            if not is_word:
                self.between[-1] += part
                continue
            for word in _cut(part, language):
                self.words.append(word)
                self.between.append("")

    def text(self) -> str:
        return self.between[0] + "".join(chain(*zip(self.words, self.between[1:], strict=True)))

    def replace(self, first: int, number: int, words: str) -> None:
        """`number` words by others, with what stands between them. The places of the words after them stay."""
        self.words[first] = words
        for place in range(first + 1, first + number):
            self.words[place] = self.between[place] = ""


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Runs of letters with their marks, and what is between them. An apostrophe or hyphen between letters is one of them."""
    is_letter = [script_of(character) is not None or character == "ー" for character in text]
    for place, character in enumerate(text):
        if place and is_letter[place - 1]:
            between_letters = character in "'’ʼ-‐" and script_of(text[place + 1 : place + 2] or " ") is not None
            is_letter[place] |= _continues(character) or between_letters
    for inside, run in groupby(zip(text, is_letter, strict=True), key=itemgetter(1)):
        yield "".join(character for character, _ in run), inside


def _continues(character: str) -> bool:
    """Combining marks without a script, modifier letters and joiners."""
    return unicodedata.category(character) in ("Mn", "Mc", "Lm", "Cf")


def _cut(run: str, language: str) -> Sequence[str]:
    scripts = {script_of(character) for character in run}
    if not scripts & {"CJK", "HIRAGANA", "KATAKANA", "THAI"}:
        return [run]
    own = sorted(question_words(language), key=len, reverse=True)
    cut = _cutter(scripts, language)
    if not own:
        return cut(run)
    parts = re.split("(" + "|".join(map(re.escape, own)) + ")", run)
    return [word for i, part in enumerate(parts) if part for word in ([part] if i % 2 else cut(part))]


def _cutter(scripts: set[str | None], language: str) -> Callable[[str], list[str]]:
    if "THAI" in scripts:
        return _thai_words
    return _JAPANESE.findall if language == "ja" or scripts & {"HIRAGANA", "KATAKANA"} else _TWO_CHINESE.findall


def _thai_words(run: str) -> list[str]:
    syllables = THAI_CLUSTER.findall(run)
    return ["".join(syllables[start : start + 3]) for start in range(0, len(syllables), 3)]
