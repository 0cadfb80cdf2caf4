"""A part of a benchmark's training examples, chosen by the ids of their queries."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.text.records import Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class PartOfTraining(Benchmark):
    """The benchmark `whole` with about `share` of its examples of train. The part of a smaller share is a subset of the part of
    a larger one. Everything else is there in full."""

    whole: Benchmark
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"data.share must be above 0 and at most 1, got {self.share}")

    def passage_sources(self) -> tuple[Path, ...]:
        return self.whole.passage_sources()

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return self.whole.passages(problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        return self.whole.queries(split, problems)

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for example in self.whole.examples(split, problems):
            if split != "train" or _place(example.query.query_id) < self.share:
                yield example

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        return self.whole.judgements(split, problems)

    def generated_file(self) -> Path | None:
        return self.whole.generated_file()

    def weight_of(self, example: TrainingExample) -> float:
        return self.whole.weight_of(example)


def _place(query_id: str) -> float:
    """From 0 to 1, evenly spread over ids."""
    return int.from_bytes(hashlib.blake2b(query_id.encode(), digest_size=8).digest(), "big") / 2**64
