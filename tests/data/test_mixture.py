from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from conf import entry, schema
from tests.test_entry import collection
from xdr.data.batches import epoch_batches
from xdr.data.collection import open_collection
from xdr.data.mixture import Mixture
from xdr.data.problems import Problems
from xdr.data.sample import Sample
from xdr.data.training_set import training_set
from xdr.errors import UserError


def test_parts_keep_apart_and_weights_repeat_them(tmp_path: Path) -> None:
    mixture = Mixture({"a": Sample(), "b": Sample()}, {"a": 1.0, "b": 0.25})
    examples = list(mixture.examples("train", Problems()))
    assert len({example.query.query_id for example in examples}) == len(examples) == 2 * 2304
    data = training_set(examples, {"te": 2.0}, mixture.weight_of)
    rows = np.concatenate(epoch_batches(data, "mixed", 1, 0.5, 0, 0))
    shown = [examples[row].query for row in rows if examples[row].query.language != "te"]
    assert sum(query.query_id.startswith("a:") for query in shown) == 2304 * 7 // 8
    assert sum(query.query_id.startswith("b:") for query in shown) == pytest.approx(2304 * 7 / 8 / 4, rel=0.1)
    store = open_collection(mixture, tmp_path, Problems())
    judgements = list(mixture.judgements("dev", Problems()))
    assert None not in store.rows([judgement.passage_id for judgement in judgements])
    assert len(store) == 288


def test_a_mixture_is_built_from_the_command_line(tmp_path: Path) -> None:
    folder = collection(tmp_path)
    schema.register()
    parts = f"data.parts={{s: {{data: sample, weight: 2}}, c: {{data: collection, path: {folder}}}}}"
    mixture = entry.build_benchmark(entry.compose("train", ["data=mixture", parts]).data)
    assert asdict(mixture)["weights"] == {"s": 2, "c": 1.0}
    assert mixture.parts["c"].path == str(folder)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ("{}", "data.parts names no benchmark"),
        ("{s: sample}", "data.parts is {NAME: {data: BENCHMARK"),
        ("{s: {data: sampel}}", "there is no data 'sampel'; did you mean 'sample'"),
        ("{s: {data: sample, weight: -1}}", "data.parts.s.weight is a number and not below zero, and -1 came"),
        ("{s: {data: sample, colour: red}}", "data.parts.s: "),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(parts: str, says: str) -> None:
    schema.register()
    with pytest.raises(UserError, match=says.replace("{", r"\{")):
        entry.build_benchmark(entry.compose("train", ["data=mixture", f"data.parts={parts}"]).data)
