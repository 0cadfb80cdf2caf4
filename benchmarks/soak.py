"""Trains, generates, encodes and evaluates on the sample again and again, first undisturbed in one process, then with kills.

    python benchmarks/soak.py --folder FOLDER [--minutes 60]

A round trains an encoder and a generator, generates questions, encodes and scores. Each round has its own folder and the same
seeds. In the first half of the time, one process does all rounds, and its memory and open files are noted after each. In the
second half, processes are killed at random moments, and new ones continue. All rounds must end with the same metrics and
rankings. Partial files that a round leaves behind are counted. Results are in FOLDER/result.json.
"""

import argparse
import hashlib
import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

QUIET = "trainer.enable_progress_bar=false"
TRAIN = ["model.hidden=32", "model.layers=1", "data.batches.size=64", "trainer.max_epochs=1", QUIET]


def commands(folder: Path) -> list[list[str]]:
    """Of one round. Each is done again as it is after a kill."""
    encoder, generator, texts, scores = (str(folder / name) for name in ("encoder", "generator", "texts", "scores"))
    encode = [*TRAIN, "model.passage_length=24", "model.query_length=12", f"output_dir={encoder}"]
    ask = ["model=small_query_generator", *TRAIN, "model.input_length=24", "model.output_length=12", f"output_dir={generator}"]
    generate = ["experiment=sample_generation", f"checkpoint={generator}", "augmentation.generation.number=2"]
    generate += ["augmentation.generation.output_length=8", "augmentation.generation.shard_size=12"]
    generate += ["augmentation.generation.refuse=[]", "augmentation.generation.probe=0", f"output_dir={texts}"]
    score = ["experiment=sample_evaluation", f"checkpoint={encoder}", f"augmentation.source={texts}", "search.shard_size=12"]
    score += ["evaluation.num_samples=200", QUIET, f"output_dir={scores}"]
    return [["train.py", *encode], ["train.py", *ask], ["evaluate.py", *generate], ["evaluate.py", *score]]


def work(folder: Path, rounds: int) -> None:
    """Round after round in this process. A line after each command tells its memory and open files."""
    done = len(list(folder.glob("round-*.done")))
    while done < rounds:
        for script, *arguments in commands(folder / f"round-{done}"):
            sys.argv = [str(ROOT / script), *arguments]
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as ended:
                if ended.code:
                    raise
        (folder / f"round-{done}.done").write_text(json.dumps(usage()))
        done += 1


def usage() -> dict[str, int]:
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    files, threads = (len(list(Path("/proc/self", kind).iterdir())) for kind in ("fd", "task"))
    return {"bytes": resident, "files": files, "threads": threads}


def results(folder: Path) -> str:
    """A hash of the metrics and rankings of a round."""
    files = [folder / "scores" / "metrics.json", *sorted((folder / "scores" / "runs").glob("*.trec"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def leftovers(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.name.endswith(".partial")]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Soak:
    def __init__(self, folder: Path) -> None:
        self.folder, self.rounds, self.kills = folder, list[dict[str, Any]](), 0
        self.log = (folder / "log.txt").open("a")

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--folder", str(self.folder), "--work", str(10**6)]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.folder, start_new_session=True)

    def finished(self, killed: int) -> None:
        """Notes and removes the rounds that are done."""
        while (mark := self.folder / f"round-{len(self.rounds)}.done").exists():
            time.sleep(0.2)  # the file may be written just now
            round_ = self.folder / mark.stem
            about = {"results": results(round_), "leftovers": leftovers(round_), "disk": size(round_), "killed": killed}
            self.rounds.append({**about, **json.loads(mark.read_text())})
            shutil.rmtree(round_)
            print(json.dumps(self.rounds[-1]), flush=True)
            killed = 0

    def undisturbed(self, until: float) -> None:
        process = self.start()
        while time.monotonic() < until:
            time.sleep(1)
            self.finished(0)
            if process.poll() is not None:
                raise SystemExit(f"a command failed: see {self.log.name}")
        stop(process)

    def with_kills(self, until: float, rng: random.Random) -> None:
        usual, killed = self.seconds_a_round(), 0
        while time.monotonic() < until:
            process, end = self.start(), time.monotonic() + rng.uniform(0.1, 1.0) * usual
            before = len(self.rounds)
            while time.monotonic() < min(end, until):
                time.sleep(0.5)
                self.finished(killed)
                killed = killed if len(self.rounds) == before else 0
                before = len(self.rounds)
                if process.poll() is not None:
                    raise SystemExit(f"a command failed: see {self.log.name}")
            stop(process)
            killed, self.kills = killed + 1, self.kills + 1

    def seconds_a_round(self) -> float:
        marks = sorted(mark.stat().st_mtime for mark in self.folder.glob("round-*.done"))
        return median(after - before for before, after in pairwise(marks)) if len(marks) > 1 else 60.0


def stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    folder = wanted.folder.absolute()
    if wanted.work:
        work(folder, wanted.work)
        return
    folder.mkdir(parents=True)
    soak, start = Soak(folder), time.monotonic()
    soak.undisturbed(start + 30 * wanted.minutes)
    undisturbed = len(soak.rounds)
    soak.with_kills(start + 60 * wanted.minutes, random.Random(wanted.seed))
    found = summary(soak.rounds, undisturbed, soak.kills)
    (folder / "result.json").write_text(json.dumps({"summary": found, "rounds": soak.rounds}, indent=1))
    print(json.dumps(found, indent=1))


def summary(rounds: list[dict[str, Any]], undisturbed: int, kills: int) -> dict[str, Any]:
    steady = rounds[1:undisturbed]  # the first round imports
    return {
        "rounds": len(rounds),
        "rounds in one process": undisturbed,
        "kills": kills,
        "different results": len({round_["results"] for round_ in rounds}),
        "rounds with leftovers": sum(bool(round_["leftovers"]) for round_ in rounds),
        "MB of memory": [round(round_["bytes"] / 1e6) for round_ in steady],
        "open files": [round_["files"] for round_ in steady],
        "threads": [round_["threads"] for round_ in steady],
        "MB of disk": [round(round_["disk"] / 1e6, 1) for round_ in rounds],
    }


if __name__ == "__main__":
    main()
