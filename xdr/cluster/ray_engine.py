"""The engine of a command that works on a Ray cluster: it hands out parts, and replaces workers that die."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from xdr.cluster.joining import joined
from xdr.cluster.parts import Parts
from xdr.cluster.worker import Worker, phase_of
from xdr.errors import UserError, first_line
from xdr.sharding.engine import ShardTask
from xdr.sharding.shards import Shards

if TYPE_CHECKING:
    import lightning.pytorch as pl

T = TypeVar("T")

POLL_SECONDS = 0.5


@dataclass
class RayEngine:
    """`address` is that of a cluster, `auto` the one that this machine belongs to, None a cluster of this machine alone, which
    ends with the command. `workers` is the most that run at once (0: as many as fit into the cluster, also when it grows), each
    with `cpus` and `gpus`. A worker may die `tries` times at one part."""

    address: str | None = None
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    tries: int = 3
    _settings: str = field(default="", init=False)
    _parts: Any = field(default=None, init=False)
    _running: dict[Any, tuple[str, Any]] = field(default_factory=dict, init=False)
    """By the reference to a worker's run, its name and its handle."""
    _started: int = field(default=0, init=False)
    _deaths: int = field(default=0, init=False)
    """In a row, of workers that had no part."""
    _has_complained: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.workers < 0 or self.cpus < 0 or self.gpus < 0 or self.tries < 1 or not self.cpus + self.gpus:
            raise UserError(
                "engine.workers, engine.cpus and engine.gpus must be at least 0, engine.cpus or engine.gpus above it, and "
                f"engine.tries at least 1, got {self.workers}, {self.cpus:g}, {self.gpus:g} and {self.tries}"
            )

    @contextmanager
    def running(self, settings: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
        """Joins or starts the cluster. `settings` are those of the command, with which workers run it again."""
        self._settings = json.dumps(settings())
        with joined(self.address):
            import ray

            node = ray.get_runtime_context().get_node_id()
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
            self._parts = ray.remote(Parts).options(num_cpus=0, scheduling_strategy=here).remote(self.tries)
            try:
                yield
            finally:
                for _, worker in self._running.values():
                    ray.kill(worker)
                self._running.clear()

    def shards(self, shards: Shards, trainer: "pl.Trainer", tick: Callable[[], None]) -> Iterator[ShardTask]:
        if missing := shards.ledger.missing():
            rows = {shard: shards.rows(shard) for shard in missing}
            self._let_work(phase_of(shards.ledger), rows, shards.ledger.num_shards, tick)
        yield from ()

    def spread(
        self, name: str, call: Callable[[int, int], T], trainer: "pl.Trainer", gather: Callable[[T], list[T]]
    ) -> list[T] | None:
        number = max(1, self._room())
        self._let_work(name, dict.fromkeys(range(number)), number, lambda: None)
        results: list[T] = self._ask("results")
        return results

    def _let_work(self, phase: str, parts: Mapping[int, tuple[int, int] | None], of: int, tick: Callable[[], None]) -> None:
        """Returns when all parts are done."""
        import ray

        self._ask("begin", phase, dict(parts), of)
        while True:
            done, wanted = self._ask("progress")
            tick()
            if done == wanted:
                return
            room = self._room()
            self._start_workers(min(wanted - done, room))
            if not self._running:
                self._complain()
                time.sleep(POLL_SECONDS)
            ended, _ = ray.wait(list(self._running), timeout=POLL_SECONDS)
            for run in ended:
                self._replace(run)

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray

        try:
            return ray.get(getattr(self._parts, method).remote(*arguments))
        except ray.exceptions.RayError as error:
            raise UserError(f"the cluster failed: {first_line(error)}. Run the same command to continue") from error

    def _complain(self) -> None:
        worker = f"a worker with {self.cpus:g} CPUs and {self.gpus:g} GPUs (engine.cpus, engine.gpus)"
        if self.address is None:
            raise UserError(f"this machine has no room for {worker}")
        if not self._has_complained:
            self._has_complained = True
            print(f"No node of the cluster has room for {worker}; waiting for one", file=sys.stderr, flush=True)

    def _room(self) -> int:
        """How many workers fit into the cluster as it is now."""
        import ray

        number = 0
        for node in ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                wanted = {"CPU": self.cpus, "GPU": self.gpus}
                number += int(min(has.get(name, 0) / each for name, each in wanted.items() if each))
        return min(number, self.workers) if self.workers else number

    def _start_workers(self, number: int) -> None:
        import ray

        while len(self._running) < number:
            self._started += 1
            name = f"worker-{self._started}"
            worker = ray.remote(Worker).options(num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=0).remote()
            self._running[worker.run.remote(name, self._settings, self._parts)] = name, worker

    def _replace(self, run: Any) -> None:
        """A worker ended before the work did: by an error, which ends the command, or by its death."""
        import ray

        name, _ = self._running.pop(run)
        try:
            ray.get(run)
        except ray.exceptions.RayTaskError as error:
            raise error.cause or error from None
        except ray.exceptions.RayError as death:
            problem = self._ask("lose", name)
            self._deaths = self._deaths + 1 if problem == "" else 0
            if self._deaths >= self.tries:
                problem = f"{self._deaths} workers died before they began"
            if problem:
                raise UserError(f"{problem}, at last of this: {first_line(death)}") from death
