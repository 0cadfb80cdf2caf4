import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from conf import entry
from tests.runs import run
from tests.test_entry import collection
from xdr.benchmarks.sample import Sample
from xdr.data.collection import open_collection
from xdr.data.mixture import Mixture
from xdr.data.problems import Problems
from xdr.data.tevatron import TevatronFiles
from xdr.data.training_set import training_set
from xdr.errors import UserError
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.batches import BatchSettings, epoch_batches


def test_parts_keep_apart_and_weights_repeat_them(tmp_path: Path) -> None:
    mixture = Mixture({"a": Sample(), "b": Sample()}, {"a": 1.0, "b": 0.25})
    examples = list(mixture.examples("train", Problems()))
    assert len({example.query.query_id for example in examples}) == len(examples) == 2 * 2304
    data = training_set(examples, {"te": 2.0}, mixture.weight_of)
    rows = np.concatenate(epoch_batches(data, BatchSettings(1, 1, "mixed", 0.5, None, 0), 0, 0))
    shown = [examples[row].query for row in rows if examples[row].query.language != "te"]
    assert sum(query.query_id.startswith("a:") for query in shown) == 2304 * 7 // 8
    assert sum(query.query_id.startswith("b:") for query in shown) == pytest.approx(2304 * 7 / 8 / 4, rel=0.1)
    store = open_collection(mixture, tmp_path, Problems())
    judgements = list(mixture.judgements("dev", Problems()))
    assert None not in store.rows([judgement.passage_id for judgement in judgements])
    assert len(store) == 288


def test_a_mixture_is_built_from_the_command_line(tmp_path: Path) -> None:
    folder = collection(tmp_path)
    parts = f"data.parts={{s: {{data: sample, weight: 2}}, c: {{data: collection, path: {folder}}}}}"
    mixture = entry.build_benchmark(entry.compose("train", ["data=mixture", parts]))
    assert asdict(mixture)["weights"] == {"s": 2, "c": 1.0}
    assert mixture.parts["c"].path == str(folder)


def test_a_part_of_the_pool_gives_passages_alone(tmp_path: Path) -> None:
    def store_of(number: int) -> int:
        parts = f"data.parts={{a: {{data: sample}}, b: {{data: sample, pool: {number}}}}}"
        mixture = entry.build_benchmark(entry.compose("evaluate", ["data=mixture", parts]))
        assert {query.query_id[:2] for query in mixture.queries("dev", Problems())} == {"a:"}
        assert {judgement.passage_id[:2] for judgement in mixture.judgements("dev", Problems())} == {"a:"}
        assert {example.query.query_id[:2] for example in mixture.examples("train", Problems())} == {"a:"}
        return len(open_collection(mixture, tmp_path, Problems()))

    assert [store_of(number) for number in (10, 30, 0)] == [154, 174, 288]


def test_a_mixture_is_read_within_a_job(tmp_path: Path) -> None:
    """Where Hydra is at work already."""
    parts = "data.parts={a: {data: sample}, b: {data: sample, pool: 10}}"
    assert "154 passages" in run(tmp_path / "run", "stage=prepare", "data=mixture", parts, quick=(), script="evaluate.py")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ("{}", "data.parts must name a benchmark"),
        ("{s: sample}", "data.parts must be {NAME: {data: BENCHMARK"),
        ("{s: {data: sampel}}", "there is no data 'sampel'; did you mean 'sample'"),
        ("{s: {data: sample, weight: -1}}", "data.parts.s.weight must be a number of at least 0, got -1"),
        ("{s: {data: sample, pool: -1}}", "data.parts.s.pool must be a whole number of at least 0, got -1"),
        ("{s: {data: sample, colour: red}}", "there is no setting 'data.parts.s.colour'"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(parts: str, says: str) -> None:
    with pytest.raises(UserError, match=says.replace("{", r"\{")):
        entry.build_benchmark(entry.compose("train", ["data=mixture", f"data.parts={parts}"]))


def test_a_mixture_changes_nothing_but_the_ids_of_an_example(tmp_path: Path) -> None:
    line = {"query_id": "q", "query": "?", "lang": "fi", "answers": ["a"]}
    line["positive_passages"] = [{"docid": "1", "title": "T", "text": "x", "lang": "ko", "score": 2.5}]
    line["negative_passages"] = [{"docid": "2", "text": "y", "score": -1}, {"docid": "3", "text": "z", "score": 0}]
    (tmp_path / "train.jsonl").write_text(json.dumps(line))
    part = TevatronFiles("unused", {"train": str(tmp_path / "train.jsonl")})
    (own,) = part.examples("train", Problems())
    (mixed,) = Mixture({"a": part}, {}).examples("train", Problems())
    assert mixed == TrainingExample(
        replace(own.query, query_id="a:q"),
        (Passage("a:1", "T", "x", "ko"),),
        (Passage("a:2", "", "y"), Passage("a:3", "", "z")),
        (2.5,),
        (-1.0, 0.0),
    )


def test_twins_are_those_of_the_part() -> None:
    class Asked(Sample):
        def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
            query, passage = Query("q", "?", "fi"), Passage("p", "", "text")
            yield TrainingExample(query, (passage,), twins=(replace(query, text="!"),))

    (example,) = Mixture({"a": Asked()}, {}).examples("train", Problems())
    assert example.twins == (Query("a:q", "!", "fi"),)
