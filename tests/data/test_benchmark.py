from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.collection_summary import Counts, count_benchmark
from xdr.data.problems import Problems
from xdr.data.training_set import training_set
from xdr.errors import UserError
from xdr.text.records import Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class Rivers(Benchmark):
    """A benchmark that xdr does not know, with as little as one needs."""

    path: str

    def passage_sources(self) -> tuple[Path, ...]:
        return (Path(self.path),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for number, line in enumerate(Path(self.path).read_text().splitlines()):
            yield Passage(f"p{number}", "", line)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        if split == "dev":
            yield Query("q", "Missä?", "fi")


@dataclass(frozen=True)
class JudgedRivers(Rivers):
    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        positives = tuple(self.passages(problems))
        yield from (TrainingExample(query, positives) for query in self.queries(split, problems))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rivers.txt").write_text("The Volga is long.\nThe Kemi is short.\n")
    return tmp_path / "rivers.txt"


def test_a_benchmark_outside_xdr_is_prepared_like_its_own(file: Path, tmp_path: Path) -> None:
    benchmark = Rivers(str(file))
    store = open_collection(benchmark, tmp_path / "a", Problems())
    assert [passage.text for passage in store] == ["The Volga is long.", "The Kemi is short."]
    assert count_benchmark(benchmark, store, Problems()) == [Counts("dev", "fi", queries=1)]
    assert list(benchmark.examples("train", Problems())) == list(benchmark.judgements("dev", Problems())) == []
    assert benchmark.generated_file() is None


def test_the_positives_of_examples_are_relevant_where_nothing_else_is_said(file: Path) -> None:
    benchmark = JudgedRivers(str(file))
    assert list(benchmark.judgements("dev", Problems())) == [Judgement("q", "p0", 1), Judgement("q", "p1", 1)]
    data = training_set(benchmark.examples("dev", Problems()), weight_of=benchmark.weight_of)
    assert data.repeats.tolist() == [1.0]


def test_two_benchmarks_of_equal_settings_have_a_collection_each(file: Path, tmp_path: Path) -> None:
    stores = [open_collection(kind(str(file)), tmp_path / "a", Problems()) for kind in (Rivers, JudgedRivers)]
    assert stores[0].folder != stores[1].folder


def test_a_benchmark_whose_settings_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    class Plain(Benchmark):
        passage_sources = passages = queries = None

    with pytest.raises(UserError, match="a benchmark must be a dataclass, so that its settings can be stored, got .*Plain"):
        open_collection(Plain(), tmp_path, Problems())
