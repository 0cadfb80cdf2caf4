"""Checks and measures xdr on a GPU, and writes a table for docs/benchmarks.md:

    python benchmarks/gpu.py --out FOLDER [--budget SECONDS] [--only PART ...] [--device cpu] [--tiny]

Each part runs in its own process and has its own time limit; the most telling parts come first. Results go to
FOLDER/gpu.json as they come, and to FOLDER/gpu.md as a table, so a run that is cut loses nothing. A part whose package is
missing says so. The script needs no installation of xdr: it uses the source tree that it is in. `--device cpu --tiny` tries
all parts without a card.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gpu_parts import PARTS, Figure, Machine, Part

SLOWER_ON_A_CPU = 5
NAMES = [part.name for part in PARTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for gpu.json and gpu.md")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for all parts together")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="the parts to run")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small models and few texts, to try the parts")
    parser.add_argument("--models", type=Path, help="a folder with e5 (multilingual-e5-small) and gemma (gemma-3-270m)")
    parser.add_argument("--data", type=Path, help="a folder with xquad-r and afriqa")
    parser.add_argument("--part", choices=NAMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.part:
        machine = Machine(arguments.device, arguments.tiny, arguments.out, arguments.models, arguments.data)
        run_here(part_named(arguments.part), machine)
        return
    started, results = time.monotonic(), []
    for part in map(part_named, arguments.only):
        left = arguments.budget - (time.monotonic() - started)
        limit = part.seconds * (SLOWER_ON_A_CPU if arguments.device == "cpu" else 1)
        results.append(run_apart(part, min(left, limit), arguments))
        write(arguments.out, results, describe(arguments))
        print(f"{part.name:12s} {results[-1]['status']:10s} {results[-1]['seconds']:6.1f} s", flush=True)


def part_named(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)


def run_apart(part: Part, limit: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """The part's figures, in a process that cannot take others with it."""
    result = {"part": part.name, "title": part.title, "seconds": 0.0, "figures": []}
    if missing := [package for package in part.packages if find_spec(package) is None]:
        return {**result, "status": "left out", "problem": f"needs the package {missing[0]}"}
    if limit < 1:
        return {**result, "status": "left out", "problem": "no time was left"}
    lines = arguments.out / f"{part.name}.jsonl"
    lines.unlink(missing_ok=True)
    started = time.monotonic()
    command = [sys.executable, *sys.argv, "--part", part.name]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, errors = process.communicate(timeout=limit)
        status, problem = ("failed", errors.strip()[-2000:]) if process.returncode else ("done", "")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what it started
        process.communicate()
        status, problem = "cut", f"took longer than {limit:.0f} s"
    figures = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    lines.unlink(missing_ok=True)
    return {**result, "seconds": time.monotonic() - started, "status": status, "problem": problem, "figures": figures}


def run_here(part: Part, machine: Machine) -> None:
    """Appends each figure to a file as soon as it is known."""
    module, _, function = part.function.rpartition(":")
    with (machine.out / f"{part.name}.jsonl").open("a") as lines:
        for figure in getattr(import_module(module), function)(machine):
            lines.write(json.dumps(figure._asdict()) + "\n")
            lines.flush()


def describe(arguments: argparse.Namespace) -> str:
    import torch

    card = torch.cuda.get_device_name() if arguments.device == "cuda" and torch.cuda.is_available() else platform.processor()
    return f"{card or platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}, {platform.platform()}"


def write(out: Path, results: list[dict[str, Any]], machine: str) -> None:
    (out / "gpu.json").write_text(json.dumps({"machine": machine, "parts": results}, indent=2) + "\n")
    lines = [machine, ""]
    for result in results:
        lines += [f"### {result['title']}", ""]
        if result["status"] != "done":
            lines += [f"{result['status'].capitalize()}: {result['problem'].splitlines()[-1] if result['problem'] else ''}", ""]
        if result["figures"]:
            lines += ["| | | wanted | |", "|---|---|---|---|"]
            lines += [row(Figure(**figure)) for figure in result["figures"]] + [""]
    (out / "gpu.md").write_text("\n".join(lines))


def row(figure: Figure) -> str:
    verdict = "" if figure.holds is None else "yes" if figure.holds else "**no**"
    return f"| {figure.what} | {figure.value} | {figure.wanted} | {verdict} |"


if __name__ == "__main__":
    main()
