"""What commands.md shows: what the commands say about themselves."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "Flags of `train.py` and `evaluate.py`": ("train.py", "--hydra-help"),
    "`xdr-explore`": ("-m", "conf.explore", "--help"),
    "`python -m xdr.doctor`": ("-m", "xdr.doctor", "--help"),
    "`docs/choose_questions.py`": ("docs/choose_questions.py", "--help"),
}


def markdown() -> str:
    sections = [_section(f"`{name}.py`", _purpose(name)) for name in ("train", "evaluate")]
    sections += [_section(title, _said([sys.executable, *arguments])) for title, arguments in PROGRAMS.items()]
    return "\n\n".join([*sections, _section("`make`", _said(["make", "--no-print-directory", "help"]))])


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text.strip()}\n```"


def _purpose(command: str) -> str:
    """What `--help` says before it lists the settings."""
    settings = yaml.safe_load((ROOT / "conf" / f"{command}.yaml").read_text(encoding="utf-8"))
    purpose: str = settings["hydra"]["help"]["template"]
    return purpose.partition("$APP_CONFIG_GROUPS")[0]


def _said(command: list[str]) -> str:
    variables = os.environ | {"COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout
