"""Several benchmarks as one: trained on together, each shown as often as its weight says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.text.records import Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class Mixture(Benchmark):
    """Ids get the name of their part in front: those of two benchmarks may be the same. A weight of 2 shows a part's training
    examples twice an epoch, 0.5 every other time; queries and passages are all there once."""

    parts: Mapping[str, Benchmark]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError("data.parts names no benchmark; give {NAME: {data: BENCHMARK, path: ..., weight: 1}, ...}")
        for name, weight in self.weights.items():
            if not isinstance(weight, int | float) or weight < 0:
                raise UserError(f"data.parts.{name}.weight is a number and not below zero, and {weight!r} came")
        if blank := [name for name in self.parts if not name or name.split() != [name]]:
            raise UserError(f"the name of a part holds no blanks, and '{blank[0]}' came")

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(source for part in self.parts.values() for source in part.passage_sources())

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for name, part in self.parts.items():
            yield from (_named(passage, name) for passage in part.passages(problems))

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for name, part in self.parts.items():
            yield from (_asked(query, name) for query in part.queries(split, problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for name, part in self.parts.items():
            for example in part.examples(split, problems):
                yield replace(
                    example,
                    query=_asked(example.query, name),
                    positives=tuple(_named(passage, name) for passage in example.positives),
                    negatives=tuple(_named(passage, name) for passage in example.negatives),
                )

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        for name, part in self.parts.items():
            for judgement in part.judgements(split, problems):
                query_id, passage_id = f"{name}:{judgement.query_id}", f"{name}:{judgement.passage_id}"
                yield replace(judgement, query_id=query_id, passage_id=passage_id)

    def weight_of(self, example: TrainingExample) -> float:
        return self.weights.get(example.query.query_id.split(":", 1)[0], 1.0)


def _named(passage: Passage, part: str) -> Passage:
    return replace(passage, passage_id=f"{part}:{passage.passage_id}")


def _asked(query: Query, part: str) -> Query:
    return replace(query, query_id=f"{part}:{query.query_id}")
