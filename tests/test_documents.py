"""What the documents say is there."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_architecture_names_every_file_of_code() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    files = [path for room in ("xdr", "callbacks", "conf", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 30
    assert [path.name for path in files if path.name != "__init__.py" and path.name not in text] == []


def test_the_architecture_names_no_file_that_is_gone() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("```")[3]
    there = {path.name for path in ROOT.rglob("*.py")} | {path.name for path in ROOT.glob("conf/*.yaml")}
    assert [name for name in re.findall(r"[\w.]+\.(?:py|yaml)", tree) if name not in there] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_in_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)", text)
    targets += re.findall(r"`((?:xdr|conf|tests|docs|benchmarks|callbacks)/[\w./]*)`", text)
    base = [document.parent, ROOT]
    assert [target for target in targets if not any((folder / target).exists() for folder in base)] == []


def test_troubleshooting_quotes_what_the_code_says() -> None:
    code = [path for room in ("xdr", "callbacks", "conf") for path in (ROOT / room).rglob("*.py")]
    said = [message for path in code for message in _strings(path)]
    rows = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), flags=re.M)
    assert len(rows) > 20
    patterns = {row: ".+".join(re.escape(part) for part in row.split("...")) for row in rows}
    assert [row for row, pattern in patterns.items() if not any(re.search(pattern, message) for message in said)] == []


def _strings(path: Path) -> list[str]:
    """Of a file's code; what is filled in is `<>`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "<>" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def test_constraints_name_packages_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert "torch==2.13.0" in lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    commands = [line for line in script.splitlines() if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test"]


def test_make_without_a_target_explains_itself() -> None:
    result = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    assert "demo" in result.stdout
    assert "test-slow" in result.stdout
