"""What the rest of xdr asks of a benchmark."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query, TrainingExample

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""query id -> passage id -> score, best first"""

Holdout: TypeAlias = Literal["none", "tenth"]
"""`tenth`: of a release that has no test split with answers, `dev` is a tenth of train, `train` the others, and `test` the dev
split."""


class Benchmark(ABC):
    """The base class of benchmarks. A new one is a frozen dataclass whose fields are the settings of its YAML file.

    A benchmark must say where its passages come from, and yield them. The other methods have defaults; one of `queries` and
    `examples` is needed to evaluate. Splits are `train`, `dev` and `test`; a split that the benchmark does not have yields
    nothing. A file that should be there but is missing is an error. All methods stream, and pass lines that they cannot read to
    `problems`.
    """

    @abstractmethod
    def passage_sources(self) -> tuple[Path, ...]:
        """The files of the passages. A stored collection is made again when one of them changes."""

    @abstractmethod
    def passages(self, problems: Problems) -> Iterator[Passage]: ...

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        """Default: the queries of the examples."""
        for example in self.examples(split, problems):
            yield example.query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        """Queries with their passages, to train on or to validate with. Default: none."""
        yield from ()

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        """Default: the positive passages of the examples are relevant."""
        for example in self.examples(split, problems):
            for passage in example.positives:
                yield Judgement(example.query.query_id, passage.passage_id, 1)

    def generated_file(self) -> Path | None:
        """The generated queries that come with the collection, in the format of `generated.jsonl`. Default: none."""
        return None

    def write_results(self, split: str, read_runs: Callable[[], Mapping[str, Run]], folder: Path) -> None:
        """Results of each system's run in another tool's form, beside those of xdr in `folder`. Default: none."""
        return None

    def weight_of(self, example: TrainingExample) -> float:
        """How often an epoch shows an example. Default: once."""
        return 1.0


def distinct_positives(examples: Iterable[TrainingExample]) -> Iterator[Passage]:
    """The positive passages of examples, each once."""
    seen: set[str] = set()
    for example in examples:
        for passage in example.positives:
            if passage.passage_id not in seen:
                seen.add(passage.passage_id)
                yield passage


def released_split(split: str, holdout: Holdout) -> str:
    """Returns the split of the release whose files hold this split."""
    return split if holdout == "none" else {"test": "dev"}.get(split, "train")


def is_in_split(key: str, split: str, holdout: Holdout) -> bool:
    """Returns whether an item of the released split belongs to the split. `key` is a content id, which decides on the tenth."""
    return holdout == "none" or split == "test" or (int(key, 16) % 10 == 0) == (split == "dev")


def checked_splits(splits: tuple[str, ...], released: tuple[str, ...]) -> tuple[str, ...]:
    """The setting `splits` of a benchmark, which says which files are read, also for the passages."""
    if not splits or len(set(splits)) != len(splits) or set(splits) - set(released):
        raise DataError(f"data.splits must be some of {' '.join(released)}, each once, got {' '.join(splits) or 'none'}")
    return tuple(splits)
