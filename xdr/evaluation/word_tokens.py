"""The tokens that R@kt counts: what NLTK's `word_tokenize` makes of English text, without its download.

NLTK's releases do not agree. From 3.6.7 to 3.9.2 the tokens are the same; 3.9.3 and later part `1942–1995` at the dash, and
some words after an apostrophe, which changes one passage in ten.
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
    from nltk.tokenize.destructive import NLTKWordTokenizer  # takes two seconds, and most commands never score
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
    """The characters that tokenising keeps in their order, whatever it does to the rest: all but blanks and " ' `.

    The tokeniser parts words, so it adds blanks, and writes a quotation mark as another; it does nothing else. Leaving
    characters out one by one keeps substrings: if `answer` stands in the joined tokens, letters(answer) stands in the letters
    of the text that they came from. The reverse does not hold.
    """
    return "".join(text.split()).replace('"', "").replace("'", "").replace("`", "")


_PIECES = re.compile(r"\w+|[^\w\s]")
_PARTED = re.compile(r"(?i)\b(?:cannot|gimme|gonna|gotta|lemme|wanna)\b")
_ALWAYS_APART = re.compile(r"(?<=\S)[;@#$%&?!\[\](){}<>]|(?<=\w)[,:](?=\s)")


def fewest_tokens(text: str) -> int:
    """Words are parted and never joined, and these marks are always parted from what stands before them."""
    return len(text.split()) + len(_ALWAYS_APART.findall(text))


def most_tokens(text: str) -> int:
    """Words are parted at marks, and within letters only where a contraction ends there (`did n't`, which leaves the marks in
    it unparted) or in these six. A " alone becomes two characters."""
    return len(_PIECES.findall(text)) + len(_PARTED.findall(text)) + text.count('"')


@dataclass(slots=True)
class TokenizedPassage:
    """`tokens` is the tokens joined by blanks, and None until someone needs them; `fewest` and `most` bound their number."""

    letters: str
    fewest: int
    most: int
    tokens: str | None = None


class PassageTokens(Generic[PassageKey]):
    """What is known of the tokens of passages, each tokenised at most once while it is remembered; those not asked for the
    longest are forgotten beyond `capacity_characters`."""

    def __init__(
        self, text_of: Callable[[PassageKey], str], tokenize: Tokenize | None = None, capacity_characters: int = 100_000_000
    ) -> None:
        self._text_of = text_of
        self._tokenize = tokenize or english_word_tokenizer()
        self._capacity = capacity_characters
        self._characters = 0
        self._known: OrderedDict[PassageKey, TokenizedPassage] = OrderedDict()
        self.num_tokenized = 0

    def glance(self, passage: PassageKey) -> TokenizedPassage:
        """Bounds instead of tokens: they take a twentieth of the time."""
        known = self._known.get(passage)
        if known is None:
            text = self._text_of(passage)
            known = TokenizedPassage(letters(text), fewest_tokens(text), most_tokens(text))
            self._remember(passage, known)
        else:
            self._known.move_to_end(passage)
        return known

    def read(self, passage: PassageKey) -> tuple[str, int]:
        """The tokens joined by blanks, and their number."""
        known = self.glance(passage)
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
        self._known[passage] = known
        self._charge(len(known.letters))

    def _charge(self, characters: int) -> None:
        """Never forgets the passage that is being charged for: it is the last."""
        self._characters += characters
        while self._characters > self._capacity and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._characters -= len(oldest.letters) + len(oldest.tokens or "")
