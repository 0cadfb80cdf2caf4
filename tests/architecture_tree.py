"""The tree in ARCHITECTURE.md. `python -m tests.architecture_tree` adds new files to it, with the first line of their
docstring as the comment, and removes files that are gone. Comments that are there stay as they are."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
CODE = ("conf", "xdr", "callbacks", "hydra_plugins", "benchmarks", "docs")
COMMENT_COLUMN = 30

Tree = dict[str, str]
"""Comments by path, in the order of the tree. The path of a folder ends with /."""


def python_files() -> list[str]:
    """All Python files but `__init__.py` and the tests themselves: those mirror the tree."""
    paths = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    paths += [path for path in ROOT.glob("tests/*.py") if not path.name.startswith("test_") and path.name != "conftest.py"]
    paths += ROOT.glob("*.py")
    return sorted(path.relative_to(ROOT).as_posix() for path in paths if path.name != "__init__.py")


def read_tree(document: str) -> Tree:
    tree: Tree = {}
    folders: list[str] = []
    for line in _block(document).splitlines():
        match = re.fullmatch(r"( *)(\S+)(?: +(.*))?", line)
        assert match is not None, f"a line of the tree must be 'name  comment', got '{line}'"
        indentation, name, comment = match.groups()
        del folders[len(indentation) // 2 :]
        tree["".join(folders) + name] = comment or ""
        if name.endswith("/"):
            folders.append(name)
    return tree


def updated(tree: Tree) -> Tree:
    files = python_files()
    kept = [path for path in tree if (ROOT / path).exists()]
    for path in (path for path in files if path not in tree):
        folder = path.rpartition("/")[0] + "/"
        if folder != "/" and folder not in kept:
            kept.append(folder)
        siblings = [at for at, other in enumerate(kept) if other == folder or other.startswith(folder)]
        kept.insert(siblings[-1] + 1 if siblings else 0, path)
    return {path: tree[path] if path in tree else _first_line(path) for path in kept}


def drawn(tree: Tree) -> str:
    return "".join(_line(path, comment) for path, comment in tree.items())


def _line(path: str, comment: str) -> str:
    *folders, name = path.rstrip("/").split("/")
    name += "/" if path.endswith("/") else ""
    return f"{'  ' * len(folders) + name:<{COMMENT_COLUMN - 1}} {comment}".rstrip() + "\n"


def _first_line(path: str) -> str:
    target = ROOT / path
    if target.is_dir():
        target /= "__init__.py"
    docstring = ast.get_docstring(ast.parse(target.read_text(encoding="utf-8"))) if target.is_file() else None
    return (docstring or "").partition("\n")[0].rstrip(".")


def _block(document: str) -> str:
    match = re.search(r"^## The tree\n.*?^```\n(.*?)^```", document, flags=re.M | re.S)
    assert match is not None, "ARCHITECTURE.md must hold a block of code under '## The tree'"
    return match[1]


if __name__ == "__main__":
    document = ARCHITECTURE.read_text(encoding="utf-8")
    block = _block(document)
    ARCHITECTURE.write_text(document.replace(block, drawn(updated(read_tree(document)))), encoding="utf-8")
