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
    sentences, start = [], 0
    for end in _SENTENCE_ENDS.finditer(text):
        sentence, rest = text[start : end.end()].strip(), text[end.end() :]
        if sentence.endswith(".") and (_ABBREVIATION.search(sentence) or rest[:1].islower()):
            continue
        sentences.append(sentence)
        start = end.end()
    if rest := text[start:].strip():
        sentences.append(rest)
    return sentences
