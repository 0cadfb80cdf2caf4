"""The site's table of contents: the sections of index.md, and the pages that they link to, in that order."""

import re


def with_contents(index: str) -> str:
    """The page with a hidden table of contents for each section. On GitHub the page is a plain list of links."""
    title, *sections = re.split(r"^## ", index, flags=re.M)
    return "## ".join([title, *map(_with_table, sections)])


def _with_table(section: str) -> str:
    caption = section.partition("\n")[0]
    pages = [f"{title} <{path}>" for title, path in re.findall(r"\[([^]]+)\]\(([^)#]+)\.md[^)]*\)", section)]
    return "\n".join([section.rstrip(), "", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", "", ""])
