"""The noisy versions of the queries of an evaluation."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdr.noise.query_noise import NoisyText, QueryNoise
from xdr.text.records import Query


@dataclass(frozen=True)
class NoisyQueries:
    """`versions[v][i]` is version v of query i."""

    noise: QueryNoise
    queries: Sequence[Query]
    versions: tuple[tuple[NoisyText, ...], ...]

    @classmethod
    def of(cls, queries: Sequence[Query], noise: QueryNoise) -> "NoisyQueries":
        versions = range(1, noise.versions + 1)
        return cls(noise, queries, tuple(tuple(noise.noisy(query, version) for query in queries) for version in versions))

    @property
    def texts(self) -> list[str]:
        """One version after the other."""
        return [noisy.text for version in self.versions for noisy in version]

    @property
    def operators(self) -> list[list[tuple[str, ...]]]:
        """`operators[v][i]` made version v of query i."""
        return [[noisy.operators for noisy in version] for version in self.versions]

    @property
    def num_unchanged(self) -> int:
        """Queries that no version changed."""
        return sum(not any(noisy.operators for noisy in of_query) for of_query in zip(*self.versions, strict=True))

    def remarks(self) -> list[str]:
        total = len(self.queries)
        left = f"{self.num_unchanged:,} of {total:,} queries have nothing that the noise could change: they count as they are"
        return [left] if self.num_unchanged else []

    def described(self) -> str:
        operators = ", ".join(f"{name} {weight:g}" for name, weight in self.noise.operators.items() if weight)
        levels = ", ".join(f"{name} {getattr(self.noise, name):g}" for name in ("share", "edits", "shortest", "window"))
        return f"{operators}; {levels}; {self.noise.versions:,} versions, seed {self.noise.seed}"

    def lines(self) -> Iterator[str]:
        """JSON lines: one for each query and version."""
        for number, version in enumerate(self.versions, 1):
            for query, noisy in zip(self.queries, version, strict=True):
                line = {"query_id": query.query_id, "lang": query.language, "version": number, "text": noisy.text}
                yield json.dumps(line | {"clean": query.text, "operators": noisy.operators}, ensure_ascii=False)
