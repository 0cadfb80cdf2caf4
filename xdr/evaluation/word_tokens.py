"""The tokens that R@kt counts: those of NLTK's `word_tokenize` for English, without NLTK's download.

The tokens depend on NLTK's release. They are the same from 3.6.7 to 3.9.2. From 3.9.3 on, NLTK splits `1942–1995` at the dash
and some words after an apostrophe, which changes one passage in ten.
"""

import importlib
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

PassageKey = TypeVar("PassageKey", bound=Hashable)

Tokenize = Callable[[str], list[str]]


@cache
def english_word_tokenizer() -> Tokenize:
    """`nltk.word_tokenize`: Punkt's English sentences, each in Treebank words. The package `punkt` holds the tables of
    NLTK's `punkt_tab`."""
    from nltk.tokenize.destructive import NLTKWordTokenizer  # takes two seconds, and most commands do not need it
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    english = importlib.import_module("punkt.data.english")
    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.collocations = {tuple(pair) for pair in english.COLLOCATIONS}
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    sentences, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()

    def tokenize(text: str) -> list[str]:
        return [token for sentence in sentences.tokenize(text) for token in words.tokenize(sentence)]

    return tokenize


def letters(text: str) -> str:
    """The characters that tokenizing keeps, in order: all but blanks and " ' `.

    The tokenizer adds blanks between tokens and replaces quotation marks, nothing else, and leaving out characters keeps
    substrings. So if the joined tokens contain an answer, the letters of the text contain those of the answer. The reverse is
    not true.
    """
    return "".join(text.split()).replace('"', "").replace("'", "").replace("`", "")


_SHORTEST_TOKENS = re.compile(r"\w+|[^\w\s]")
_SPLIT_WORDS = re.compile(r"(?i)\b(?:cannot|gimme|gonna|gotta|lemme|wanna)\b")
_SPLIT_MARKS = re.compile(r"(?<=\S)[;@#$%&?!\[\](){}<>]|(?<=\w)[,:](?=\s)")


def fewest_tokens(text: str) -> int:
    """A lower bound on the number of tokens. Words are never joined, and these marks are always split off."""
    return len(text.split()) + len(_SPLIT_MARKS.findall(text))


def most_tokens(text: str) -> int:
    """An upper bound on the number of tokens. Words are split at marks; between letters they are split only at contractions
    (`did n't`, where the mark stays) and in six words. A single " becomes two characters."""
    return len(_SHORTEST_TOKENS.findall(text)) + len(_SPLIT_WORDS.findall(text)) + text.count('"')


@dataclass(slots=True)
class TokenizedPassage:
    """`tokens` are the tokens joined by blanks, None until they are needed; `fewest` and `most` bound their number."""

    letters: str
    fewest: int
    most: int
    tokens: str | None = None


class PassageTokens(Generic[PassageKey]):
    """A cache of passages' tokens. Beyond `capacity_characters`, the least recently used passages are dropped."""

    def __init__(
        self, text_of: Callable[[PassageKey], str], tokenize: Tokenize | None = None, capacity_characters: int = 100_000_000
    ) -> None:
        self._text_of = text_of
        self._tokenize = tokenize or english_word_tokenizer()
        self._capacity = capacity_characters
        self._characters = 0
        self._passages: OrderedDict[PassageKey, TokenizedPassage] = OrderedDict()
        self.num_tokenized = 0

    def bounds(self, passage: PassageKey) -> TokenizedPassage:
        """Bounds on the number of tokens, in a twentieth of the time of tokenizing."""
        known = self._passages.get(passage)
        if known is None:
            text = self._text_of(passage)
            known = TokenizedPassage(letters(text), fewest_tokens(text), most_tokens(text))
            self._remember(passage, known)
        else:
            self._passages.move_to_end(passage)
        return known

    def tokens(self, passage: PassageKey) -> tuple[str, int]:
        """The tokens joined by blanks, and their number."""
        known = self.bounds(passage)
        if known.tokens is None:
            tokens = self._tokenize(self._text_of(passage))
            known.tokens = " ".join(tokens)
            assert letters(known.tokens) == known.letters, (
                f"NLTK changed more than blanks and quotation marks: {known.tokens!r}"
            )
            assert known.fewest <= len(tokens) <= known.most
            known.fewest = known.most = len(tokens)
            self.num_tokenized += 1
            self._charge(len(known.tokens))
        return known.tokens, known.fewest

    def _remember(self, passage: PassageKey, known: TokenizedPassage) -> None:
        self._passages[passage] = known
        self._charge(len(known.letters))

    def _charge(self, characters: int) -> None:
        """Counts characters, and drops passages beyond the capacity, but never the last."""
        self._characters += characters
        while self._characters > self._capacity and len(self._passages) > 1:
            _, oldest = self._passages.popitem(last=False)
            self._characters -= len(oldest.letters) + len(oldest.tokens or "")
