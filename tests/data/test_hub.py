import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.data import hub
from xdr.data.problems import Problems
from xdr.data.tevatron import TevatronFiles, read_corpus
from xdr.errors import DataError

Write = Callable[[str, str | bytes], Path]


def test_a_hub_data_set_is_streamed_through_datasets(write: Write) -> None:
    """A local folder stands for ORG/NAME: `datasets` loads both in the same way."""
    lines = [{"docid": str(i), "title": "", "text": f"text {i}"} for i in range(3)]
    folder = write("set/train.jsonl", "\n".join(map(json.dumps, lines))).parent
    write("set/test.jsonl", json.dumps({"docid": "9", "title": "T", "text": "other"}))
    assert [passage.text for passage in read_corpus(f"hub:{folder}", Problems())] == ["text 0", "text 1", "text 2"]
    (passage,) = TevatronFiles(f"hub:{folder}:test", {}).passages(Problems())
    assert (passage.passage_id, passage.title, passage.text) == ("9", "T", "other")


def test_a_bad_row_of_a_hub_data_set_is_named(write: Write) -> None:
    folder = write("set/train.jsonl", '{"docid": "1", "text": "a"}\n{"docid": "2", "text": ""}\n').parent
    with pytest.raises(DataError, match="line 2, field 'text'") as error:
        list(read_corpus(f"hub:{folder}", Problems()))
    assert f"hub:{folder}" in str(error.value)


@pytest.mark.parametrize("source", ["hub:", "hub:/nowhere/at/all", "hub:./nowhere:dev"])
def test_a_data_set_that_is_not_there_is_one_sentence(source: str) -> None:
    with pytest.raises(DataError, match="hub"):
        list(read_corpus(source, Problems()))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Tevatron/wikipedia-nq", {"path": "Tevatron/wikipedia-nq"}),
        ("miracl/miracl-corpus/te", {"path": "miracl/miracl-corpus", "name": "te"}),
        (
            "Tevatron/xor-tydi/train/xor-t2e-100w.jsonl.gz",
            {"path": "json", "data_files": "hf://datasets/Tevatron/xor-tydi/train/xor-t2e-100w.jsonl.gz"},
        ),
    ],
)
def test_a_hub_id_names_a_data_set_a_configuration_or_a_file(name: str, arguments: dict[str, str]) -> None:
    assert hub._arguments(name) == arguments
