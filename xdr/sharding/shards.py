"""The sources of generated texts, vectors and scores (passages, queries, or lists), cut into shards."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

from xdr.storage.fingerprint import fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Passage, Query


class Emptied(Protocol):
    """A record that can be taken as if it had no text."""

    @property
    def record_id(self) -> str: ...

    def emptied(self) -> Self: ...


Item = TypeVar("Item", bound=Emptied, covariant=True)


class InRows(Protocol[Item]):
    def __len__(self) -> int: ...

    def slice(self, start: int, stop: int) -> Iterator[Item]: ...


Sources: TypeAlias = InRows[Passage]
"""A passage store, or queries as passages without a title."""


@dataclass(frozen=True)
class Listed:
    """Sources that are held in memory."""

    passages: Sequence[Passage]

    def __len__(self) -> int:
        return len(self.passages)

    def slice(self, start: int, stop: int) -> Iterator[Passage]:
        return iter(self.passages[start:stop])

    @property
    def fingerprint(self) -> str:
        return fingerprint([[passage.passage_id, passage.text] for passage in self.passages])


def queries_as_sources(queries: Iterable[Query]) -> Listed:
    return Listed([Passage(query.query_id, "", query.text, query.language) for query in queries])


def emptied(items: Iterable[Item], first: int, without: Collection[int]) -> list[Item]:
    """The items, of which that of row `first` comes first; those of the rows in `without` are emptied."""
    return [item.emptied() if row in without else item for row, item in enumerate(items, first)]


@dataclass(frozen=True)
class Shards(Generic[Item]):
    sources: InRows[Item]
    ledger: ShardLedger
    shard_size: int

    def rows(self, shard: int) -> tuple[int, int]:
        """The first row of the shard, and the row after its last."""
        start = shard * self.shard_size
        return start, min(start + self.shard_size, len(self.sources))

    def items(self, shard: int, without: Collection[int] = ()) -> list[Item]:
        """The sources of a shard; those of the rows in `without` are emptied."""
        first, stop = self.rows(shard)
        return emptied(self.sources.slice(first, stop), first, without)

    def ids(self, rows: Iterable[int]) -> list[str]:
        return [next(self.sources.slice(row, row + 1)).record_id for row in rows]

    def num_missing(self) -> int:
        """How many sources belong to missing shards."""
        return sum(stop - start for start, stop in map(self.rows, self.ledger.missing()))

    def most_of_one(self, processes: int) -> int:
        """How many missing sources the busiest process gets, if the processes take shards in turn."""
        sizes = sorted((stop - start for start, stop in map(self.rows, self.ledger.missing())), reverse=True)
        return sum(sizes[::processes])
