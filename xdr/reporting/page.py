"""What the pages are made of: one HTML file each, complete without a network, that runs no script."""

from collections.abc import Iterable, Sequence
from importlib.resources import files

from xdr.reporting.markup import element, escaped

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The browser itself refuses to load anything or to run a script, whatever stands in a query."""


def page(title: str, sections: Iterable[str]) -> str:
    style = files("xdr.evaluation").joinpath("report.css").read_text("utf-8")
    head = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',  # else a browser asks the server that shows the page for one
        element("title", escaped(title)),
        f"<style>{style}</style>",
    )
    body = element("body", element("main", *sections))
    return f'<!doctype html>\n<html lang="en"><head>{"".join(head)}</head>{body}</html>\n'


def section(heading: str, *parts: str, **attributes: str) -> str:
    return element("section", element("h2", escaped(heading)), *parts, **attributes)


def details(summary: str, *parts: str) -> str:
    return element("details", element("summary", escaped(summary), dir="auto"), *parts)


def paragraph(words: str, **attributes: str) -> str:
    return element("p", escaped(words), **attributes)


def bullets(items: Iterable[str], class_: str) -> str:
    return element("ul", *(element("li", item) for item in items), class_=class_)


def table(head: str, rows: Sequence[str], label: str, caption: str) -> str:
    """In a box of its own that scrolls, by keyboard too, where the page is narrower."""
    inside = element("caption", element("span", escaped(caption))) + element("thead", head) + element("tbody", *rows)
    return element("div", element("table", inside), class_="scroll", role="region", aria_label=label, tabindex="0")


def header(name: str, scope: str, **attributes: str | int) -> str:
    return element("th", escaped(name), scope=scope, **attributes)


def cell(words: str, class_: str = "") -> str:
    return element("td", escaped(words), **({"class": class_} if class_ else {}))
