"""Runs stages with values of settings that are odd, and fit: each run ends in one sentence or does its work.

python -m tests.faults.odd_settings --each 100                       100 values of each stage
python -m tests.faults.odd_settings --only search. --stages score    all values of one group
"""

import argparse
import copy
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf.schema import check_settings
from tests.faults.harness import Workshop, is_one_sentence, workshop_for
from tests.faults.warm_forks import Ended, run_in_fork
from tests.test_bad_settings import ODD
from xdr.errors import UserError

STAGES = (
    *("prepare", "teach", "generate", "generate_fast", "export", "score", "export_vectors", "mine"),
    *("train", "train_generator"),
)
OF_THIS_RUN = ("output_dir", "artifacts_dir", "artifacts_mirror", "hydra", "logger", "trainer.num_nodes")
"""Settings that say where the stage writes, and for whom, or that let it wait for other machines."""
GOOD = ("refused", "accepted")
MORE = (1, 2, 7, 1000, 0.3, 1e-9, 1e9, "en", ["en"], ["fi", "ja"], [0.5], [0.0, 1.0], [1, 2])


class Tried(NamedTuple):
    stage: str
    setting: str
    value: object
    outcome: str
    said: str


def fitting(settings: DictConfig, only: str) -> Iterator[tuple[str, object]]:
    """Settings and odd values that the checks of types and ranges let through."""
    for name in _names(settings):
        if name.startswith(OF_THIS_RUN) or only not in name:
            continue
        changed = copy.deepcopy(settings)
        for value in (*ODD, *MORE):
            try:
                OmegaConf.update(changed, name, value, merge=False)
                check_settings(changed, settings, [name])
            except (OmegaConfBaseException, UserError):
                continue
            yield name, value


def _names(node: DictConfig, above: str = "") -> Iterator[str]:
    for key in map(str, node):
        below = node._get_node(key)
        if isinstance(below, DictConfig) and not below._is_none():
            yield from _names(below, f"{above}{key}.")
        elif key not in ("_target_", "_partial_"):
            yield above + key


def try_one(workshop: Workshop, stage: str, name: str, value: object) -> Tried:
    work = workshop.stages[stage].work
    assert isinstance(work, partial)
    script, settings = work.args
    changed = copy.deepcopy(settings)
    OmegaConf.update(changed, name, value, merge=False)
    check_settings(changed, settings, [name])
    workshop.remove(stage)
    ended = run_in_fork(partial(work.func, script, changed), workshop.output)
    return Tried(stage, name, value, _outcome(ended), ended.output)


def _outcome(ended: Ended) -> str:
    if is_one_sentence(ended):
        return "refused"
    if ended.status == 0 and "Traceback" not in ended.output:
        return "accepted"
    return "took too long" if ended.status == -signal.SIGALRM else f"status {ended.status}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=100, help="values of each stage; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="settings whose names have this word")
    parser.add_argument("--stages", nargs="*", default=STAGES)
    parser.add_argument("--folder", type=Path, help="where the stages write; used again if it is there")
    given = parser.parse_args()
    tried: list[Tried] = []
    with workshop_for(given.stages, given.folder) as workshop:
        for stage in given.stages:
            drawn = list(fitting(workshop.stages[stage].work.args[1], given.only))
            if given.each:
                drawn = random.Random(f"{given.seed} {stage}").sample(drawn, min(given.each, len(drawn)))
            for name, value in drawn:
                tried.append(one := try_one(workshop, stage, name, value))
                if one.outcome not in GOOD:
                    print(f"--- {stage}, {name}={str(value)[:80]!r}: {one.outcome}\n{one.said[-1500:]}", flush=True)
            workshop.restore(stage)
    print(table(tried))
    return int(any(one.outcome not in GOOD for one in tried))


def table(tried: list[Tried]) -> str:
    counts: dict[str, Counter[str]] = {}
    for one in tried:
        counts.setdefault(one.stage, Counter())[one.outcome if one.outcome in GOOD else "findings"] += 1
    rows = [f"| {stage} | {its['refused']} | {its['accepted']} | {its['findings']} |" for stage, its in counts.items()]
    return "\n".join(["| stage | refused | accepted | findings |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(main())
