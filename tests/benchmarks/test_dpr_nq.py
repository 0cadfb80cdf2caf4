import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.dpr_nq import DprNaturalQuestions, read_dpr_examples
from xdr.data import json_array
from xdr.data.json_array import json_array_rows
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Passage

Write = Callable[[str, str | bytes], Path]

ITEM = {
    "dataset": "nq_train_psgs_w100",
    "question": "who wrote the kalevala",
    "answers": ["Elias Lönnrot"],
    "positive_ctxs": [{"title": "Kalevala", "text": "by Lönnrot", "score": 1000, "title_score": 1, "passage_id": "12"}],
    "negative_ctxs": [{"title": "x", "text": "random", "passage_id": "13"}],
    "hard_negative_ctxs": [{"title": "Edda", "text": "Norse", "psg_id": 14}],
}


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_an_array_is_streamed_whatever_its_layout(
    write: Write, monkeypatch: pytest.MonkeyPatch, indent: int | None, chunk: int
) -> None:
    monkeypatch.setattr(json_array, "_CHUNK_BYTES", chunk)
    items = [{**ITEM, "question": f"q{i} é 日"} for i in range(5)]
    path = write(
        "nq.json.gz", gzip.compress(b"\xef\xbb\xbf \n" + json.dumps(items, indent=indent, ensure_ascii=False).encode())
    )
    assert [row.text("question") for row in json_array_rows(path)] == [item["question"] for item in items]


def test_an_item_becomes_an_example_with_its_hard_negatives(write: Write) -> None:
    first, second = read_dpr_examples(write("nq.json", json.dumps([ITEM, {**ITEM, "answers": []}])), Problems())
    assert (first.query.text, first.query.language, first.query.answers) == (
        "who wrote the kalevala",
        "en",
        ("Elias Lönnrot",),
    )
    assert first.positives == (Passage("12", "Kalevala", "by Lönnrot"),)
    assert first.negatives == (Passage("14", "Edda", "Norse"),)
    assert first.query.query_id == second.query.query_id


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold a JSON array, got b''"),
        ('{"a": 1}', "must hold a JSON array, got b'{\"a\": 1}'"),
        ("[]", "must have at least one element, got"),
        ("[1]", r"field '\[0\]': an element must be a JSON object, got 1"),
        ('[\n{"a": 1},\n{"a": ', r"field '\[1\]': not valid JSON"),
        ('[{"a": 1} {"a": 2}]', r"field '\[1\]': not valid JSON"),
        ('[{"a": 1}', r"field '\[1\]': not valid JSON"),
        ('[{"a": 1}] x', r"field '\[1\]': not valid JSON"),
        ('[{"a": 1, "b": ' + "[" * 100_000 + "]" * 100_000 + "}]", "nested too deeply"),
        ("[" + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_array_is_named_with_its_element(write: Write, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(json_array_rows(write("nq.json", text)))


def test_a_truncated_gzip_and_bytes_that_are_no_text_are_named(write: Write) -> None:
    whole = gzip.compress(json.dumps([ITEM] * 2000).encode())
    for content in (whole[:-50], b'[{"a": "\xff"}]'):
        with pytest.raises(DataError, match=r"nq\.json, field '\[\d+\]': (the file is truncated|not valid JSON)"):
            list(json_array_rows(write("nq.json", content)))


def test_a_question_without_a_passage_is_refused_or_skipped(write: Write) -> None:
    write("train.json", json.dumps([{**ITEM, "positive_ctxs": []}, ITEM]))
    path = write("passages.tsv", "id\ttext\ttitle\n12\tby Lönnrot\tKalevala\n")
    benchmark = DprNaturalQuestions(str(path.parent), "train.json", "", "passages.tsv")
    with pytest.raises(DataError, match="positive_ctxs"):
        list(benchmark.examples("train", Problems()))
    problems = Problems(strict=False)
    assert len(list(benchmark.examples("train", problems))) == 1
    assert problems.num_skipped == 1
    assert len(list(benchmark.queries("train", Problems()))) == 2
    assert [passage.passage_id for passage in benchmark.passages(Problems())] == ["12"]
