"""In the process of a worker: it runs the command as its first process does, and makes the parts that it is given."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from xdr.cluster.parts import Task
from xdr.console import script_folder
from xdr.sharding.engine import ShardTask
from xdr.sharding.shards import Shards
from xdr.storage.ledger import ShardLedger

if TYPE_CHECKING:
    import lightning.pytorch as pl

T = TypeVar("T")

POLL_SECONDS = 0.2
SCRIPT = "evaluate"


def phase_of(ledger: ShardLedger) -> str:
    return f"{ledger.kind} {ledger.fingerprint}"


class Worker:
    """A Ray actor. `parts` is the handle of another one, of the class `Parts`."""

    def run(self, name: str, settings: str, parts: Any) -> None:
        """Runs the stage of the command until the command has ended, or this process is killed."""
        sys.path.insert(0, str(script_folder(f"{SCRIPT}.py")))
        importlib.import_module(SCRIPT).work(json.loads(settings), OfWorker(name, parts))


class OfWorker:
    """The engine of a worker."""

    def __init__(self, name: str, parts: Any) -> None:
        self._name, self._parts = name, parts

    def shards(self, shards: Shards, trainer: "pl.Trainer", tick: Callable[[], None]) -> Iterator[ShardTask]:
        phase = phase_of(shards.ledger)
        for task in self._given(phase):
            yield ShardTask(task.part, task.rows, task.without)
            self._finish(phase, task, None)

    def spread(
        self, name: str, call: Callable[[int, int], T], trainer: "pl.Trainer", gather: Callable[[T], list[T]]
    ) -> list[T] | None:
        for task in self._given(name):
            self._finish(name, task, call(task.part, task.of))
        return None

    def _given(self, phase: str) -> Iterator[Task]:
        import ray

        while True:
            task: Task = ray.get(self._parts.next.remote(phase, self._name))
            if task.kind == "over":
                return
            if task.kind == "part":
                yield task
            else:
                time.sleep(POLL_SECONDS)

    def _finish(self, phase: str, task: Task, result: Any) -> None:
        import ray

        ray.get(self._parts.finish.remote(phase, task, self._name, result))
