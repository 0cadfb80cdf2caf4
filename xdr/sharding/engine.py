"""Who makes the shards of an artifact, and who searches which of them: the processes of this command, or a cluster."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from xdr.sharding.shards import Shards

if TYPE_CHECKING:
    import lightning.pytorch as pl

T = TypeVar("T")

POLL_SECONDS = 0.2
"""How often a process that has finished looks at the shards that other processes still make."""


class ShardTask(NamedTuple):
    """A shard to be made, `without` some rows of the collection. With `rows`, these are only to be tried, to see whether they
    kill the process."""

    shard: int
    rows: tuple[int, int] | None = None
    without: tuple[int, ...] = ()


class Engine(Protocol):
    def shards(self, shards: Shards, trainer: "pl.Trainer", tick: Callable[[], None]) -> Iterator[ShardTask]:
        """What this process is to do, one after the other. It ends when all shards exist. While it waits for others, it calls
        `tick`, which shows how far they are."""
        ...

    def spread(
        self, name: str, call: Callable[[int, int], T], trainer: "pl.Trainer", gather: Callable[[T], list[T]]
    ) -> list[T] | None:
        """The results of `call(part, number of parts)` for all parts. `gather` returns those of all processes of this command.
        None in a process that is not to go on."""
        ...


class Local:
    """The processes of this command, and of others with the same artifacts. Each makes missing shards that no other one is
    making, so that processes can die, or join later."""

    def running(self, settings: Callable[[], Mapping[str, Any]]) -> AbstractContextManager[None]:
        """Entered before all work of a command."""
        return nullcontext()

    def shards(self, shards: Shards, trainer: "pl.Trainer", tick: Callable[[], None]) -> Iterator[ShardTask]:
        """Each process starts at another shard. At the end it waits for the others, and makes the shard of one that died."""
        ledger = shards.ledger
        first = ledger.num_shards * trainer.global_rank // trainer.world_size
        missing = [(first + place) % ledger.num_shards for place in range(ledger.num_shards)]
        while missing:
            for shard in missing:
                with ledger.claiming(shard) as is_ours:
                    if is_ours:
                        yield ShardTask(shard)
            if missing := ledger.missing():
                tick()
                time.sleep(POLL_SECONDS)

    def spread(
        self, name: str, call: Callable[[int, int], T], trainer: "pl.Trainer", gather: Callable[[T], list[T]]
    ) -> list[T] | None:
        own = call(trainer.global_rank, trainer.world_size)
        trainer.strategy.barrier()
        return gather(own) if trainer.world_size > 1 else [own]
