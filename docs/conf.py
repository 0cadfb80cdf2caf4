"""The documentation as a site: `make docs`. Its sources are the documents as they stand in the repository."""

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # Sphinx imports this file from docs/, so the imports below come after it

import xdr  # noqa: E402  after the path
from docs.reference import commands, experiments, python, settings  # noqa: E402  likewise
from docs.reference.contents import with_contents  # noqa: E402  likewise

project = "xdr"
version = release = xdr.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [folder.name for folder in ROOT.iterdir() if folder.is_dir() and folder.name != "docs"]
root_doc = "docs/index"

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]
default_role = "code"  # docstrings mark code as Markdown does
highlight_language = "none"  # blocks without a language show what programs print

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "xdr"
html_show_sphinx = False
html_show_sourcelink = html_copy_source = False
smartquotes = False
html_extra_path = ["site"]  # index.html, which leads to docs/index.html
html_static_path = ["static"]
html_css_files = ["site.css"]

FILLED = {
    "docs/reference/commands": commands.markdown,
    "docs/reference/experiments": experiments.markdown,
    "docs/reference/python": python.markdown,
    "docs/reference/settings": settings.markdown,
}
"""What is added to pages of the reference."""

JSON = "bool | int | float | str | list[Json] | tuple[Json, ...] | Mapping[str, Json] | None"
"""xdr.storage.fingerprint.Json, as Sphinx writes it."""


def complete(_: Sphinx, document: str, source: list[str]) -> None:
    if document == root_doc:
        source[0] = with_contents(source[0])
    elif document in FILLED:
        source[0] += "\n" + FILLED[document]()


def shorten(*event: Any) -> tuple[str, str | None] | None:
    """Signatures with the names that the code gives to long types. A protocol has none."""
    described, _, signature, returned = event[-4:]
    if getattr(described, "_is_protocol", False) and isinstance(described, type):
        return "", None
    return signature and (_with_names(signature), returned and _with_names(returned))


def _with_names(annotations: str) -> str:
    annotations = re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]", r"NDArray[\1]", annotations)
    return annotations.replace(JSON, "Json").replace(JSON, "Json")  # Json is defined by itself


def setup(app: Sphinx) -> None:
    app.connect("source-read", complete)
    app.connect("autodoc-process-signature", shorten)
