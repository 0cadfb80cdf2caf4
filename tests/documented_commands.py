"""Finds the commands that the documents, the experiments and the Makefile show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""Commands of CONTRIBUTING.md are left out: they name what a reader is about to add."""
EXPERIMENTS = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
STUDIES = sorted((ROOT / "conf" / "study").glob("*.yaml"))
PYTHONS = ("python", ".venv/bin/python", "srun", "torchrun")
MAKEFILE = ROOT / "Makefile"
OTHERS = ("make", "pip", "wandb", "eval", "xdr-explore")


@dataclass(frozen=True)
class Command:
    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"

    @property
    def program(self) -> str | None:
        """`train.py`, `xdr.doctor`, `benchmarks/search.py`, `make` ...; None for a command that is not known here."""
        words = [word for word in self.words if not re.fullmatch(r"[A-Z_]+=.*", word)]
        if (name := words[0].removeprefix(".venv/bin/")) in OTHERS:
            return name
        programs = [word for word in words if word.endswith(".py") or word.startswith(("xdr.", "conf.", "tests."))]
        return programs[0] if programs and words[0] in PYTHONS else None

    @property
    def is_of_study(self) -> bool:
        """Composing all jobs of a study takes long."""
        return any("study=" in word for word in self.words)

    @property
    def arguments(self) -> tuple[str, ...]:
        assert self.program is not None
        names = [word.removeprefix(".venv/bin/") for word in self.words]
        return self.words[names.index(self.program) + 1 :]

    @property
    def overrides(self) -> list[str]:
        return [word for word in self.arguments if not word.startswith("-")]


def documented_commands() -> list[Command]:
    """Each command once. Those of the experiments and of `make demo` come first, because the documents use their output."""
    commands = [command for path in (*EXPERIMENTS, *STUDIES) for command in _in_comments(path)]
    commands += _in_recipes(MAKEFILE)
    commands += [command for path in DOCUMENTS for command in (*_in_blocks(path), *_in_sentences(path))]
    unique: dict[tuple[str, ...], Command] = {}
    for command in commands:
        unique.setdefault(command.words, command)
    return list(unique.values())


def _in_comments(path: Path) -> Iterator[Command]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if shown := re.match(r"#.*?  ((?:python|make) \S+.*?)(?:  |$)", line):
            yield Command(path.name, tuple(shlex.split(shown[1])))


def _in_recipes(path: Path) -> Iterator[Command]:
    """Python commands of the Makefile. A variable `$(ENCODER)` becomes the word `ENCODER`."""
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if re.match(r"\t\$\(BIN\)/python (train|evaluate|benchmarks/\w+)\.py", line):
            plain = line.replace("$(BIN)", ".venv/bin")
            yield Command(path.name, tuple(shlex.split(re.sub(r"\$\((\w+)\)", r"\1", plain))))


def _in_blocks(path: Path) -> Iterator[Command]:
    """Every line of a bash block."""
    for block in re.findall(r"^```bash\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield Command(path.name, tuple(words))


def _in_sentences(path: Path) -> Iterator[Command]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for span in re.findall(r"`([^`]+)`", text):
        if re.match(r"(\w+=\S+ )*(\S*python|make|eval) \S", span):
            yield Command(path.name, tuple(shlex.split(span)))


def overlooked_lines(path: Path) -> list[str]:
    """Lines that look like commands outside bash blocks: in indented blocks, or in blocks of another language."""
    text = re.sub(r"^```bash\n.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"^\s*(?:\$ )?((?:srun|torchrun|python|pip|make|wandb) .*)$", text, flags=re.M)
