"""The console scripts of an installed xdr: `xdr-train` runs `train.py`, `xdr-evaluate` runs `evaluate.py`, `xdr-explore` runs
`conf/explore.py`."""

import os
import runpy
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent
COMMAND = "XDR_COMMAND"
"""The environment variable with the command that the shell completes. In `sys.argv[0]` is the script."""


def train() -> None:
    run_script("train.py")


def evaluate() -> None:
    run_script("evaluate.py")


def explore() -> None:
    run_script("conf/explore.py")


def run_script(name: str) -> None:
    """Runs the script as `python FOLDER/name` would, with the arguments of this process. Lightning's DDP and the subprocess
    launcher then find a script in `sys.argv[0]` that they can start again."""
    folder = script_folder(name)
    if {"-sc", "--shell-completion"} & set(sys.argv):
        os.environ[COMMAND] = sys.argv[0]
    sys.path.insert(0, str(folder))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([inherited] if inherited else [])])  # submitit's jobs need it
    runpy.run_path(str(folder / name), run_name="__main__")


def script_folder(name: str) -> Path:
    """Where the script, `conf` and `callbacks` are: `xdr/top_level` in a wheel, the checkout in an editable installation."""
    in_wheel, in_checkout = PACKAGE / "top_level", PACKAGE.parent
    return in_wheel if (in_wheel / name).is_file() else in_checkout
