"""The documents name what exists."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture_tree import ARCHITECTURE, ROOT, drawn, python_files, read_tree, updated

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_tree_of_the_architecture_lists_every_python_file() -> None:
    tree = read_tree(ARCHITECTURE.read_text(encoding="utf-8"))
    files = python_files()
    assert len(files) > 130
    assert [path for path in files if path not in tree] == []


def test_every_path_of_the_tree_exists_and_has_a_comment() -> None:
    tree = read_tree(ARCHITECTURE.read_text(encoding="utf-8"))
    assert [path for path in tree if not (ROOT / path).exists()] == []
    assert [path for path, comment in tree.items() if not comment] == []


def test_a_tree_without_a_file_is_completed_and_a_file_that_is_gone_is_removed() -> None:
    tree = read_tree(ARCHITECTURE.read_text(encoding="utf-8"))
    assert updated(tree) == tree
    damaged = {path: comment for path, comment in tree.items() if path != "xdr/errors.py"} | {"xdr/gone.py": "a file"}
    assert set(updated(damaged)) == set(tree)
    document = f"## The tree\n\n```\n{drawn(tree)}```\n"
    assert read_tree(document) == tree


def test_every_room_has_tests_of_its_own() -> None:
    rooms = {path.parent.name for path in (ROOT / "xdr").glob("*/__init__.py")}
    tested = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert len(rooms) == 24
    assert rooms | {"faults"} == tested  # which damages what all rooms write


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_in_a_document_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)", text)
    targets += re.findall(r"`((?:xdr|conf|tests|docs|benchmarks|callbacks|hydra_plugins)/[\w./]*)`", text)
    base = [document.parent, ROOT]
    assert [target for target in targets if not any((folder / target).exists() for folder in base)] == []


def test_troubleshooting_quotes_messages_of_the_code() -> None:
    code = [path for room in ("xdr", "callbacks", "conf") for path in (ROOT / room).rglob("*.py")]
    messages = [message for path in code for message in _strings(path)]
    rows = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), flags=re.M)
    assert len(rows) > 20
    patterns = {row: ".+".join(re.escape(part) for part in row.split("...")) for row in rows}
    assert [row for row, pattern in patterns.items() if not any(re.search(pattern, message) for message in messages)] == []


def _strings(path: Path) -> list[str]:
    """The strings of a Python file. `<>` replaces each value of an f-string."""
    strings = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            strings.append("".join(str(v.value) if isinstance(v, ast.Constant) else "<>" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.append(node.value)
    return strings


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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make install` reads, and a folder `bin` that is on its PATH."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    return tmp_path


def install(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    variables = {"PATH": f"{checkout / 'bin'}:/usr/bin:/bin"}
    command = ["make", "install", *arguments]
    return subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)


def write_program(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_make_installs_with_uv_where_it_is_on_the_path_and_with_pip_elsewhere(checkout: Path) -> None:
    if shutil.which("uv", path="/usr/bin:/bin") is None:
        assert "-m pip install" in install(checkout, "-n").stdout
    write_program(checkout / "bin" / "uv", f'echo "uv $@"; ln -s {sys.executable} .venv/bin/python')
    (checkout / ".venv" / "bin").mkdir(parents=True)
    said = install(checkout, "PYTHON=3.13")
    assert "uv venv --quiet --seed --python 3.13 .venv" in said.stdout.splitlines()
    assert re.search(r"uv pip install .*--constraint constraints.txt --editable .*\[cpu,", said.stdout)
    assert "-m pip" not in said.stdout


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_make_refuses_a_python_that_is_too_new_with_the_reason_and_the_remedy(by: str, checkout: Path) -> None:
    newer = f"exec {sys.executable} -c 'import sys; sys.version_info = (3, 14, 0); exec(sys.argv[1])' \"$2\""
    write_program(checkout / ("bin/python3" if by == "pip" else ".venv/bin/python"), newer)
    if by == "uv":
        write_program(checkout / "bin" / "uv", "exit 9")
    elif shutil.which("uv", path="/usr/bin:/bin"):
        pytest.skip("uv is installed for all users")
    said = install(checkout)
    assert said.returncode == 2
    assert "xdr needs Python 3.11, 3.12 or 3.13; this is 3.14, where Hydra 1.3 does not start. " in said.stderr
    assert "make PYTHON=python3.13 ...; or install uv" in said.stderr
