"""HTML and SVG as text, every word that comes from outside escaped."""

import html
import re

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    """For text and for attributes. Control characters and halves of surrogate pairs stand in no document, whatever its data
    holds."""
    return html.escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def element(name: str, *content: str, **attributes: str | float) -> str:
    """`content` is markup already. `class_` writes `class`, `aria_label` writes `aria-label`."""
    written = "".join(f' {key.strip("_").replace("_", "-")}="{_written(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(content)}</{name}>"


def _written(value: str | float) -> str:
    return escaped(value) if isinstance(value, str) else f"{round(value, 2):g}"
