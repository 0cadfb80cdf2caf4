"""Settings of xdr-train and xdr-evaluate are completed by the shell."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALL = {
    "bash": 'eval "$(xdr-train -sc install=bash)"; eval "$(xdr-evaluate -sc install=bash)"',
    "zsh": "autoload -Uz compinit bashcompinit && compinit -D && bashcompinit; "
    'eval "$(xdr-train -sc install=zsh)"; eval "$(xdr-evaluate -sc install=zsh)"',
}
"""As docs/installation.md says; -D keeps zsh from writing a file."""
WITHOUT_FILES = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
SECONDS = 60


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with the two console scripts of this checkout."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("train", "evaluate"):
        script = folder / f"xdr-{name}"
        path = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
        script.write_text(f"#!{sys.executable}\n{path}\nfrom xdr.console import {name}\n{name}()\n")
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("name", "words", "completions"),
    [("xdr-train", "experiment=sample_b", "experiment=sample_bi_encoder"), ("xdr-evaluate", "search=ex", "search=exact")],
)
def test_a_console_script_installs_and_answers_the_completion_of_its_own_name(
    name: str, words: str, completions: str, commands: Path, tmp_path: Path
) -> None:
    def said(*arguments: str, **variables: str) -> str:
        command = [str(commands / name), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=True
        ).stdout

    assert said("-sc", "install=bash").splitlines()[-1].endswith(f"-F hydra_bash_completion {name}")
    line = f"{name} {words}"
    assert said("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line))).split() == completions.split()


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_what_is_typed(shell: str, commands: Path, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    number, terminal = pty.fork()
    if number == 0:
        os.chdir(tmp_path)
        path = f"{commands}:{os.environ['PATH']}"
        variables = os.environ | {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "ready "}
        os.execvpe(shell, [shell, *WITHOUT_FILES[shell]], variables)
    try:
        _typed(terminal, f"{INSTALL[shell]}; echo inst''alled\n", "installed")
        assert _typed(terminal, "xdr-train experiment=sample_b\t", "sample_bi_encoder")
        assert _typed(terminal, " trainer.max_ep\t", "trainer.max_epochs=")
        os.write(terminal, b"\x15")  # clears the line
        assert _typed(terminal, "xdr-evaluate augmentation=gen\t", "augmentation=generated_queries")
        assert _typed(terminal, " augmentation.fus\t", "augmentation.fusion=")
    finally:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        os.close(terminal)


def _typed(terminal: int, text: str, expected: str) -> str:
    """What the shell shows, from the keys until what is expected."""
    os.write(terminal, text.encode())
    shown, end = "", time.monotonic() + SECONDS
    while not re.search(re.escape(expected), shown):
        assert time.monotonic() < end and select.select([terminal], [], [], SECONDS)[0], f"{shown!r} has no {expected!r}"
        shown += os.read(terminal, 1 << 16).decode(errors="replace")
    return shown
