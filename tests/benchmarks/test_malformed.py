"""Whatever comes, a reader ends in records or in the one clear error: never in a traceback from inside."""

import contextlib
import gzip
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdr.benchmarks.afriqa import AfriQa
from xdr.benchmarks.dpr_nq import read_dpr_examples
from xdr.benchmarks.miracl import Miracl
from xdr.benchmarks.mlqa import Mlqa
from xdr.benchmarks.tydi_qa import TydiQaGold, TydiQaPrimary
from xdr.benchmarks.xglue import Xglue
from xdr.benchmarks.xnli import Xnli
from xdr.benchmarks.xor_tydi import read_gold_paragraphs, read_questions
from xdr.benchmarks.xquad_r import XquadR
from xdr.data.beir_folder import BeirFolder
from xdr.data.collection_folder import CollectionFolder
from xdr.data.generated_queries import read_generated_queries
from xdr.data.passage_store import convert_passages
from xdr.data.passage_tsv import read_passage_tsv
from xdr.data.problems import Problems
from xdr.data.qrels import read_qrels
from xdr.data.tevatron import language_in_row, read_corpus, read_training_examples
from xdr.errors import DataError

PASSAGE = {"docid": "p1", "title": "T", "text": "words", "lang": "en"}
EXAMPLE = {
    "query_id": "q1",
    "query": "?",
    "lang": "fi",
    "answers": ["a"],
    "positive_passages": [PASSAGE],
    "negative_passages": [],
}
SQUAD_QUESTION = {"id": "1", "question": "?", "lang": "fi", "answers": [{"text": "w", "answer_start": 0}]}
PARAGRAPH = {"context": "words", "sentences": ["words"], "sentence_breaks": [[0, 5]], "qas": [SQUAD_QUESTION]}
SQUAD = {"data": [{"title": "Title:A_parentSection:", "paragraphs": [PARAGRAPH]}]}
DPR = [
    {
        "question": "?",
        "answers": ["a"],
        "positive_ctxs": [{"title": "", "text": "x", "passage_id": "1"}],
        "hard_negative_ctxs": [],
    }
]
AFRIQA = {
    "answer_pivot": {"text": ["a"]},
    "context": "c",
    "id": "1",
    "question_lang": "?",
    "question_translated": "?",
    "title": None,
}
TYDI_GOLD = {"data": [{"title": "T", "paragraphs": [{"context": "words", "qas": [{**SQUAD_QUESTION, "id": "finnish-1"}]}]}]}
TYDI = {
    "annotations": [{"passage_answer": {"candidate_index": 0}}],
    "document_plaintext": "words",
    "document_title": "T",
    "example_id": 1,
    "language": "finnish",
    "passage_answer_candidates": [{"plaintext_start_byte": 0, "plaintext_end_byte": 5}],
    "question_text": "?",
}
XNLI = b"language\tgold_label\tsentence1\tsentence2\tpromptID\tpairID\nen\tentailment\ta\tb\t1\t1\nen\tneutral\ta\tc\t1\t2\n"

# name -> (file name in a folder, a good file, a reader of that file)
FORMATS: dict[str, tuple[str, Any, Callable[[Path, Problems], Iterator[Any]]]] = {
    "corpus": ("c.jsonl", PASSAGE, read_corpus),
    "examples": ("t.jsonl", EXAMPLE, lambda path, problems: read_training_examples(path, problems, language_in_row)),
    "questions": ("q.jsonl", {"id": 1, "question": "?", "lang": "fi", "answers": []}, read_questions),
    "generated": ("g.jsonl", {"docid": "1", "generated_queries": {"fi": ["?"]}}, read_generated_queries),
    "gold": ("gold.json", SQUAD, read_gold_paragraphs),
    "dpr": ("nq.json", DPR, read_dpr_examples),
    "xquad": (
        "en.json",
        SQUAD,
        lambda path, p: XquadR(str(path.parent), ("en",), "sentence", "monolingual", "none", "x_x").examples("dev", p),
    ),
    "afriqa": (
        "gold_passages/hau/x.hau.en.dev.json",
        AFRIQA,
        lambda path, problems: AfriQa(str(path.parents[2]), ("ha",), "original").passages(problems),
    ),
    "mlqa": (
        "dev-context-en-question-en.json",
        SQUAD,
        lambda path, p: Mlqa(str(path.parent), ("en",), "sentence", "monolingual", ("dev",)).examples("dev", p),
    ),
    "tydi gold": (
        "tydiqa-goldp-v1.1-dev.json",
        TYDI_GOLD,
        lambda path, problems: TydiQaGold(str(path.parent), ("fi",), "none").examples("dev", problems),
    ),
    "tydi": (
        "tydiqa-v1.0-dev.jsonl",
        TYDI,
        lambda path, problems: TydiQaPrimary(str(path.parent), ("fi",), ("dev",), "none").examples("dev", problems),
    ),
    "xnli": (
        "xnli.dev.tsv",
        XNLI,
        lambda path, problems: Xnli(str(path.parent), ("en",), "monolingual", ("dev",), "x_x").examples("dev", problems),
    ),
    "xglue": (
        "xglue.wpr.en.dev",
        b"q\tt\ts\t4\nq\tu\tv\t0\n",
        lambda path, problems: Xglue(str(path.parent), "wpr", ("en",), ("dev",), 2).examples("dev", problems),
    ),
    "topics": (
        "miracl-v1.0-sw/topics/topics.miracl-v1.0-sw-dev.tsv",
        b"1\tNani?\n2\tNini?\n",
        lambda path, problems: Miracl(str(path.parents[2]), ("sw",), "none").queries("dev", problems),
    ),
    "beir qrels": (
        "qrels/test.tsv",
        b"query-id\tcorpus-id\tscore\nq1\tp1\t1\n",
        lambda path, problems: BeirFolder(str(path.parents[1]), "en", "en").judgements("test", problems),
    ),
    "tsv": ("p.tsv", b"id\ttext\ttitle\n1\twords\tT\n", read_passage_tsv),
    "qrels": ("r.tsv", b"q1 0 p1 1\n", read_qrels),
    "queries": (
        "queries.jsonl",
        {"query_id": "q", "query": "?", "lang": "fi", "split": "dev"},
        lambda path, problems: CollectionFolder(str(path.parent)).queries("dev", problems),
    ),
}

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["\ud800", "\0", "xx", "['a'", "a b", [], {}, [None], [[]], {"text": 3}, "9" * 300]),
)


def places(value: Any, prefix: tuple = ()) -> Iterator[tuple]:
    """Where something can be put in place of what is there."""
    yield prefix
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*prefix, key))


def replaced(value: Any, place: tuple, new: Any, remove: bool) -> Any:
    if not place:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if remove:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return copy


@st.composite
def malformed(draw: st.DrawFn) -> tuple[str, bytes]:
    """A format, and a file of it in which one thing is wrong: a value, a field, a byte, the end, the compression."""
    name = draw(st.sampled_from(sorted(FORMATS)))
    good = FORMATS[name][1]
    way = draw(st.sampled_from(["value", "remove", "bytes", "cut", "gzip", "noise"]))
    if isinstance(good, bytes) or way in ("bytes", "cut", "gzip"):
        content = good if isinstance(good, bytes) else json.dumps(good).encode()
        content += content if isinstance(good, dict) and draw(st.booleans()) else b""
    else:
        place = draw(st.sampled_from(list(places(good))))
        content = json.dumps(replaced(good, place, draw(ODD), way == "remove" and bool(place))).encode()
    at = draw(st.integers(0, len(content)))
    if way == "bytes":
        content = content[:at] + draw(st.binary(min_size=1, max_size=4)) + content[at:]
    elif way == "cut":
        content = content[:at]
    elif way == "noise":
        content = draw(st.binary(max_size=60))
    elif way == "gzip":
        content = gzip.compress(content)
        content = content[: draw(st.integers(0, len(content)))]
    return name, content


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, int]]:
    counted = {"refused": 0, "read": 0}
    yield counted
    if counted["refused"] + counted["read"] >= 1500:  # the whole run, not a replay of one failure
        assert counted["refused"] >= 300, counted


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(malformed())
def test_a_malformed_file_ends_in_one_clear_error(outcomes: dict[str, int], case: tuple[str, bytes]) -> None:
    name, content = case
    file_name, _, read = FORMATS[name]
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "corpus.jsonl").write_text(json.dumps(PASSAGE))
        path = folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        refusal = ""
        try:
            list(read(path, Problems()))
        except DataError as error:
            refusal = str(error)
        outcomes["refused" if refusal else "read"] += 1
        assert not refusal or (str(folder) in refusal and len(refusal) < 1500), "one sentence that names the file"
        lenient = Problems(strict=False)
        with contextlib.suppress(DataError):
            list(read(path, lenient))
        assert len(lenient.first) == min(3, lenient.num_skipped)
        if name in ("corpus", "tsv"):
            _nothing_half_written(read, path, folder)
    finally:
        shutil.rmtree(folder)


def _nothing_half_written(read: Callable[[Path, Problems], Iterator[Any]], path: Path, folder: Path) -> None:
    try:
        convert_passages(read(path, Problems()), folder / "stores" / "store", {})
    except DataError:
        assert {file.name for file in (folder / "stores").iterdir()} == {".store.lock"}
