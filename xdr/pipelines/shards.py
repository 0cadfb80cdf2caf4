"""What texts are generated for, and vectors made of, in shards."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdr.storage.fingerprint import fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Passage, Query


class Sources(Protocol):
    """A passage store, or queries in its guise."""

    def __len__(self) -> int: ...

    def slice(self, start: int, stop: int) -> Iterator[Passage]: ...


@dataclass(frozen=True)
class Listed:
    """Sources in memory."""

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


@dataclass(frozen=True)
class Shards:
    sources: Sources
    ledger: ShardLedger
    shard_size: int

    def rows(self, shard: int) -> tuple[int, int]:
        """From, and up to."""
        start = shard * self.shard_size
        return start, min(start + self.shard_size, len(self.sources))

    def passages(self, shard: int) -> list[Passage]:
        return list(self.sources.slice(*self.rows(shard)))

    def num_missing(self) -> int:
        """Sources."""
        return sum(stop - start for start, stop in map(self.rows, self.ledger.missing()))

    def most_of_one(self, processes: int) -> int:
        """Missing sources that the busiest of so many processes makes, each taking a shard after the other."""
        sizes = sorted((stop - start for start, stop in map(self.rows, self.ledger.missing())), reverse=True)
        return sum(sizes[::processes])
