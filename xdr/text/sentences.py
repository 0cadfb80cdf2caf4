"""The sentences of a text, by the marks that end sentences in its script. A text without such marks, as in Thai, is one.

. ! ? …            before a space; a full stop not after a single letter or a short title (J. S. Bach, Dr. Ng), and not before
                   a small letter
。！？｡              also without a space
؟ ۔  । ॥  ።  ။  ៕ ։   Arabic and Urdu, Indic scripts, Ethiopic, Burmese, Khmer, Armenian
"""

import re

_CLOSING = "\"'”’»)\\]」』）】"
_SENTENCE_ENDS = re.compile(
    rf"(?:[。！？｡]+[{_CLOSING}]*\s*)"
    rf"|(?:[؟۔।॥።။៕։]+[{_CLOSING}]*\s*)"
    rf"|(?:[.!?…]+[{_CLOSING}]*\s+)"
)
_ABBREVIATION = re.compile(r"(?:^|[\s(.])(?:\w|Dr|Mr|Mrs|Ms|St|Prof|Jr|Sr|vs|No)\.$")


def split_sentences(text: str) -> list[str]:
    """In order; joined by spaces where the text has them, they are the text. An empty text has none."""
    return [text[start:end].strip() for start, end in sentence_breaks(text)]


def sentence_breaks(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, with the blanks after it."""
    breaks, start = [], 0
    for end in _SENTENCE_ENDS.finditer(text):
        sentence, rest = text[start : end.end()].strip(), text[end.end() :]
        if sentence.endswith(".") and (_ABBREVIATION.search(sentence) or rest[:1].islower()):
            continue
        breaks.append((start, end.end()))
        start = end.end()
    if not text[start:].isspace() and start < len(text):
        breaks.append((start, len(text)))
    return breaks
