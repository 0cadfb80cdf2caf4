"""Several benchmarks as one: to train on together, each with a weight, or to search in one pool of passages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.text.records import Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class Mixture(Benchmark):
    """Ids get the name of their part as a prefix, since two parts may have the same ids. A weight of 2 shows the training
    examples of a part twice in an epoch, 0.5 in every other epoch. Queries and passages are there once. A part in `pool` gives
    its first passages, as many as `pool` says (0: all), and neither queries nor examples."""

    parts: Mapping[str, Benchmark]
    weights: Mapping[str, float]
    pool: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError("data.parts must name a benchmark, got none. Give {NAME: {data: BENCHMARK, path: ..., weight: 1}}")
        for name, weight in self.weights.items():
            if not isinstance(weight, int | float) or weight < 0:
                raise UserError(f"data.parts.{name}.weight must be a number of at least 0, got {weight!r}")
        for name, number in self.pool.items():
            if type(number) is not int or number < 0:
                raise UserError(f"data.parts.{name}.pool must be a whole number of at least 0, got {number!r}")
        if blank := [name for name in self.parts if not name or name.split() != [name]]:
            raise UserError(f"the names in data.parts must have no blanks, got '{blank[0]}'")

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(source for part in self.parts.values() for source in part.passage_sources())

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for name, part in self.parts.items():
            passages = islice(part.passages(problems), self.pool.get(name) or None)
            yield from (_of_part(passage, name) for passage in passages)

    def _asked(self) -> Iterator[tuple[str, Benchmark]]:
        return ((name, part) for name, part in self.parts.items() if name not in self.pool)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for name, part in self._asked():
            yield from (_with_part(query, name) for query in part.queries(split, problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for name, part in self._asked():
            for example in part.examples(split, problems):
                yield replace(
                    example,
                    query=_with_part(example.query, name),
                    positives=tuple(_of_part(passage, name) for passage in example.positives),
                    negatives=tuple(_of_part(passage, name) for passage in example.negatives),
                    twins=tuple(_with_part(twin, name) for twin in example.twins),
                )

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        for name, part in self._asked():
            for judgement in part.judgements(split, problems):
                query_id, passage_id = f"{name}:{judgement.query_id}", f"{name}:{judgement.passage_id}"
                yield replace(judgement, query_id=query_id, passage_id=passage_id)

    def weight_of(self, example: TrainingExample) -> float:
        return self.weights.get(example.query.query_id.split(":", 1)[0], 1.0)


def _of_part(passage: Passage, part: str) -> Passage:
    return replace(passage, passage_id=f"{part}:{passage.passage_id}")


def _with_part(query: Query, part: str) -> Query:
    return replace(query, query_id=f"{part}:{query.query_id}")
