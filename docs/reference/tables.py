"""Markdown of the pages that are made from the code."""

import re
from collections.abc import Sequence
from itertools import groupby


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def plain(text: str) -> str:
    """A comment, in which nothing but code between backticks is Markdown."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part[:1] == "`" else re.sub(r"([\\`*_\[\]<>{}])", r"\\\1", part) for part in parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def described(comment: str) -> str:
    """A comment as paragraphs. Its indented lines are commands, and what is expected is a paragraph of its own."""
    blocks: list[str] = []
    for is_command, lines in groupby(comment.splitlines(), lambda line: line.startswith("  ")):
        text = "\n".join(line.strip() if is_command else plain(line) for line in lines)
        blocks.append(f"```bash\n{text}\n```" if is_command else text.replace("\nExpected:", "\n\nExpected:"))
    return "\n\n".join(blocks)
