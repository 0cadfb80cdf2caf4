"""Question words and the English ones that people mix into questions. `question_words.json` is written by hand."""

import json
from functools import cache
from pathlib import Path


@cache
def question_words(language: str) -> dict[str, str]:
    """In lower case, with their English; empty for a language that is not in the table."""
    file = Path(__file__).parent / "question_words.json"
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")).get(language, {})
    return found
