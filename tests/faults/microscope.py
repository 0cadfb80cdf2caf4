"""Kills stages, and lets their disk fail, at every moment of their writing; then runs them again.

    python -m tests.faults.microscope              every moment; about two hours
    python -m tests.faults.microscope --most 10    ten moments of each stage and fault
    python -m tests.faults.microscope --beside     with a second process that does the same work at the same time

A kill is survived if the same command then comes to the results of an uninterrupted run. A failing disk is survived if besides
the command that met it ended with one sentence and exit status 2, or came to the same results. A process beside it must come to
them at once.
"""

import argparse
import re
import signal
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.faults.disk import FAILING, FULL, READ_ONLY, Act, Moments, die, die_half_written, forbid_long_files
from tests.faults.harness import Workshop, is_one_sentence, workshop_for
from tests.faults.stages import BESIDE
from tests.faults.warm_forks import Ended, run_in_fork, run_in_forks


class Fault(NamedTuple):
    name: str
    act: Act
    kills: bool
    lasting: bool = False


FAULTS = (
    Fault("SIGKILL", die, kills=True),
    Fault("SIGKILL, half of the file written", die_half_written, kills=True),
    Fault("no space, no inodes (ENOSPC)", FULL, kills=False, lasting=True),
    Fault("a failing disk (EIO)", FAILING, kills=False),
    Fault("mounted read-only (EROFS)", READ_ONLY, kills=False, lasting=True),
    Fault("no file longer than 3,000 bytes (EFBIG)", forbid_long_files, kills=False),
)
STAGES = (
    "prepare",
    "score_imported",
    "teach",
    "generate",
    "generate_fast",
    "score",
    "mine",
    "score_remote",
    "train",
    "train_generator",
    "sweep",
)


class Seen(NamedTuple):
    stage: str
    fault: str
    moment: str
    problem: str


def look(workshop: Workshop, name: str, faults: Collection[Fault], most: int, beside: bool) -> Iterator[Seen]:
    """The moments at equal distances, `most` of them at most (0: all)."""
    stage, folder = workshop.stages[name], workshop.live / name
    log, of_jobs = workshop.folder / "moments", name == "sweep"

    def begin(at: int, fault: Fault | None) -> None:
        moments = Moments(folder, at, fault.act if fault else die, lasting=bool(fault and fault.lasting))
        moments.install()
        stage.work()
        log.write_text("\n".join(" ".join(moment) for moment in moments.log))

    def came_through(ended: Ended) -> bool:
        return ended.status == 0 and stage.read_results(workshop.live) == expected

    def came_beside(ended: Ended) -> bool:
        own = {file: content for file, content in expected.items() if not file.startswith("artifacts/")}
        return ended.status == 0 and stage.read_results(workshop.live, "" if of_jobs else BESIDE) == own

    workshop.remove(name)
    ended = run_in_fork(partial(begin, 0, None), workshop.output)
    assert ended.status == 0, ended.output
    expected, moments = stage.read_results(workshop.live), log.read_text().splitlines()
    assert expected and moments
    step = max(1, len(moments) // most) if most else 1
    for fault in faults:
        for at in range(1, len(moments) + 1, step):
            workshop.remove(name)
            works = [partial(begin, at, fault)]
            if beside and stage.beside and (fault.kills or not of_jobs):  # a sweep tells of the other's failed job
                works.append(stage.beside)
            (ended, *others), problem = run_in_forks(works, workshop.output), ""
            if others and fault.kills and came_through(ended):
                continue  # the process beside it has done this part
            if fault.kills:
                problem = "" if ended.status == -signal.SIGKILL else f"was not killed: {ended.output[-800:]}"
            elif not (is_told_by_jobs if of_jobs else is_one_sentence)(ended) and not came_through(ended):
                problem = f"status {ended.status}: {ended.output[-1500:]}"
            for other in others:
                if not came_beside(other):
                    problem += f"beside it, status {other.status}: {other.output[-1500:]}"
            again = stage.work if fault.kills or stage.again is None else stage.again
            resumed = run_in_fork(again, workshop.output)
            if not came_through(resumed):
                problem += f"resumed, status {resumed.status}: {resumed.output[-1500:]}"
            yield Seen(name, fault.name, moments[at - 1], problem)
    workshop.restore(name)


def is_told_by_jobs(ended: Ended) -> bool:
    """Whether a sweep ended with a sentence for each job that failed."""
    told = re.search(r"^(job \w+ failed|error): ", ended.output, re.MULTILINE)
    return ended.status in (1, 2) and told is not None and "Traceback" not in ended.output


def table(seen: list[Seen]) -> str:
    tried = Counter((one.fault, one.stage) for one in seen)
    survived = Counter((one.fault, one.stage) for one in seen if not one.problem)
    rows = [f"| {fault} | {stage} | {number} | {survived[fault, stage]} |" for (fault, stage), number in tried.items()]
    return "\n".join(["| fault | stage | moments | survived |", "|---|---|---|---|", *rows])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=0, help="moments of each stage and fault; 0: all")
    parser.add_argument("--stages", nargs="*", default=STAGES)
    parser.add_argument("--faults", default="", help="only faults whose names have this word")
    parser.add_argument("--beside", action="store_true", help="with a second process; of stages that two may share")
    parser.add_argument("--folder", type=Path, help="where the stages write; used again if it is there")
    given = parser.parse_args()
    seen: list[Seen] = []
    faults = [fault for fault in FAULTS if given.faults in fault.name]
    with workshop_for(given.stages, given.folder) as workshop:
        for name in given.stages:
            if given.beside and workshop.stages[name].beside is None:
                continue
            for one in look(workshop, name, faults, given.most, given.beside):
                seen.append(one)
                if one.problem:
                    print(f"--- {one.stage}, {one.fault}, {one.moment}: {one.problem}", flush=True)
    print(table(seen))
    return int(any(one.problem for one in seen))


if __name__ == "__main__":
    sys.exit(main())
