"""What a generator is asked, in one place: the same words in training, validation and generation."""

from typing import Literal

from xdr.text.languages import find_language
from xdr.text.records import Passage

Direction = Literal["query_from_passage", "passage_from_query"]
LanguageAt = Literal["prompt", "decoder"]
"""Where the language of the wanted text stands: in the prompt, or as the decoder's first token, so that one prompt serves all
languages."""


def passage_text(passage: Passage) -> str:
    """Title and text, as the published recipe joins them."""
    return f"{passage.title} {passage.text}" if passage.title else passage.text


def query_prompt(passage: Passage, language: str | None) -> str:
    """Asks for a question about a passage, in xQG's words (ielab/xQG4xDR)."""
    named = "" if language is None else f"{find_language(language).name} "
    return f"Generate a {named}question for this passage: {passage_text(passage)}"


def passage_prompt(query: str, language: str | None) -> str:
    """Asks for a passage that answers a question, after HyDE's words (texttron/hyde)."""
    named = "" if language is None else f" in {find_language(language).name}"
    return f"Please write a passage{named} to answer the question: {query}"
