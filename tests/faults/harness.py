"""Damages what xdr has written, runs the stage that reads it, and counts what comes of it.

    python -m tests.faults.harness --each 200        as docs/reliability.md counts; about an hour and a half
    python -m tests.faults.harness --each 5 --only "passage store"

What may come of it: `refused`, in one sentence and with exit status 2; `rebuilt`, with the results of an untouched run;
`identical` results; of files that a user may edit, `another model`, whose fingerprint is another. All else is a finding.
"""

import argparse
import gc
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.faults.mutations import READABLE_ANYWAY, mutate
from tests.faults.readers import READERS, Reader
from tests.faults.stages import QUICK, stages, write_inputs
from tests.faults.warm_forks import Ended, import_what_it_used, run_in_fork

GOOD = ("refused", "rebuilt", "identical", "another model")


class Tried(NamedTuple):
    reader: Reader
    number: int
    mutation: str
    outcome: str
    said: str


class Workshop:
    """Everything that the stages write, once whole and once to be damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live, self.whole, self.output = folder / "live", folder / "whole", folder / "output"
        self.stages = stages(self.live)
        self._dirty: set[str] = set()
        self._untouched: dict[str, tuple[dict[str, bytes], object]] = {}

    def make(self, names: Collection[str]) -> None:
        """Runs the stages, and keeps what they leave."""
        if self.whole.exists():
            return
        write_inputs(self.live / "inputs")
        for name, stage in self.stages.items():
            if name in names:
                ended = run_in_fork(stage.work, self.output)
                assert ended.status == 0, f"{name}: {ended.output}"
                import_what_it_used(self.output)
        shutil.copytree(self.live, self.whole, symlinks=True)

    def try_one(self, reader: Reader, number: int, seed: int) -> Tried:
        stage, rng = self.stages[reader.stage], random.Random(f"{seed} {reader.name} {number}")
        expected, maker = self._results_of(reader)
        self._restore(reader)
        mutation = mutate(rng, self._targets(reader))
        damaged = self._contents(reader)
        outcome, said = self._judge(reader, run_in_fork(stage.work, self.output), expected, maker, damaged)
        return Tried(reader, number, mutation, outcome, said)

    def _judge(
        self, reader: Reader, ended: Ended, expected: dict[str, bytes], maker: object, damaged: Mapping[str, bytes]
    ) -> tuple[str, str]:
        stage = self.stages[reader.stage]
        if is_one_sentence(ended):
            return "refused", ended.output[ended.output.index("error: ") :]
        if ended.status != 0:
            return f"status {ended.status}", ended.output
        if "Traceback" in ended.output:
            return "a traceback", ended.output
        if stage.read_results(self.live) == expected:
            return "identical" if self._contents(reader) == damaged else "rebuilt", ""
        if reader.editable and stage.read_maker(self.live) != maker:
            return "another model", ""
        return "other results", ended.output

    def _results_of(self, reader: Reader) -> tuple[dict[str, bytes], object]:
        """Of a run that reads whole files."""
        if reader.name not in self._untouched:
            self._restore(reader)
            stage = self.stages[reader.stage]
            ended = run_in_fork(stage.work, self.output)
            assert ended.status == 0, ended.output
            import_what_it_used(self.output)
            self._untouched[reader.name] = stage.read_results(self.live), stage.read_maker(self.live)
            assert self._untouched[reader.name][0], f"{reader.name} has results"
        return self._untouched[reader.name]

    def _restore(self, reader: Reader) -> None:
        touched = {reader.stage, *(pattern.split("/")[0] for pattern in reader.patterns)}
        for name in sorted(touched | self._dirty):
            self.restore(name)
        self._dirty = touched
        for pattern in reader.without:
            for path in self.live.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def remove(self, name: str) -> None:
        """What the stage has written."""
        shutil.rmtree(self.live / name, ignore_errors=True)

    def restore(self, name: str) -> None:
        self.remove(name)
        if (self.whole / name).exists():
            shutil.copytree(self.whole / name, self.live / name, symlinks=True)

    def _targets(self, reader: Reader) -> list[Path]:
        found = sorted({path for pattern in reader.patterns for path in self.live.glob(pattern)})
        assert found, f"{reader.name} reads nothing"
        return found

    def _contents(self, reader: Reader) -> dict[str, bytes]:
        files = (file for target in self._paths(reader) for file in (target.rglob("*") if target.is_dir() else [target]))
        return {str(file): file.read_bytes() for file in files if file.is_file()}

    def _paths(self, reader: Reader) -> list[Path]:
        return [path for pattern in reader.patterns for path in self.live.glob(pattern)]


@contextmanager
def workshop_for(names: Collection[str], folder: Path | None) -> Iterator[Workshop]:
    """A workshop in which these stages have run, and all others if these read what others write. In a temporary folder if
    none is given."""
    with tempfile.TemporaryDirectory() as temporary:
        workshop = Workshop((folder or Path(temporary)).resolve())
        workshop.make(names if set(names) <= set(QUICK) else workshop.stages)
        gc.freeze()
        yield workshop


def is_one_sentence(ended: Ended) -> bool:
    """Whether the command refused to go on, as a user's mistakes are refused."""
    sentences = [line for line in ended.output.splitlines() if line.startswith("error: ")]
    return ended.status == 2 and len(sentences) == 1 and "Traceback" not in ended.output


def table(tried: list[Tried]) -> str:
    """Counts by kind and stage."""
    counts: dict[str, Counter[str]] = {}
    for one in tried:
        counts.setdefault(one.reader.name, Counter())[one.outcome if one.outcome in GOOD else "findings"] += 1
    columns = (*GOOD, "findings")
    rows = [[name, *(str(its[column]) for column in columns)] for name, its in counts.items()]
    rows.append(["all", *(str(sum(its[column] for its in counts.values())) for column in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in [["files", *columns], ["---"] * 6, *rows])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=200, help="mutations of each kind for each stage that reads it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a regular expression for the names of kinds and stages")
    parser.add_argument("--quick", action="store_true", help="the stages that read nothing of other stages")
    parser.add_argument("--number", type=int, help="one mutation alone")
    parser.add_argument("--folder", type=Path, help="where the stages write; used again if it is there")
    parser.add_argument("--sentences", action="store_true", help="print what is refused, too")
    given = parser.parse_args()
    readers = [reader for reader in READERS if re.search(given.only, reader.name)]
    if given.quick:
        readers = [reader for reader in readers if reader.stage in QUICK]
    tried: list[Tried] = []
    with workshop_for([reader.stage for reader in readers], given.folder) as workshop:
        numbers = range(given.each) if given.number is None else [given.number]
        for reader in readers:
            for number in numbers:
                one = workshop.try_one(reader, number, given.seed)
                tried.append(one)
                if one.outcome not in GOOD:
                    print(f"--- {reader.name}, number {number}: {one.mutation}: {one.outcome}\n{one.said[-1500:]}", flush=True)
                elif given.sentences:
                    print(f"{one.outcome:10} {reader.name} {number}: {one.mutation}: {one.said}", flush=True)
    print(table(tried))
    if READABLE_ANYWAY:
        print("Permissions were left as they are: this user reads files without them.")
    return int(any(one.outcome not in GOOD for one in tried))


if __name__ == "__main__":
    sys.exit(main())
