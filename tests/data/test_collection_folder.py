import gzip
import json
from pathlib import Path

import pytest

from xdr.data.collection import open_collection
from xdr.data.collection_folder import CollectionFolder
from xdr.data.collection_summary import count_benchmark
from xdr.data.generated_queries import read_generated_queries
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import GeneratedTexts, Judgement, Passage, Query, TrainingExample


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl").write_text(
        lines({"docid": "p1", "title": None, "text": "one"}, {"docid": 2, "title": "T", "text": "two", "lang": "fi"})
    )
    (tmp_path / "queries.jsonl").write_text(
        lines(
            {"query_id": "q1", "query": "?", "lang": "ru"},
            {"query_id": "q2", "query": "??", "lang": "ko", "answers": ["a"], "split": "test"},
        )
    )
    (tmp_path / "qrels.tsv").write_text("q1 0 p1 1\nq2\t0\t2\t2\n")
    (tmp_path / "generated.jsonl").write_text(lines({"docid": "p1", "generated_queries": {"ar": ["س؟"], "te": []}}))
    return tmp_path


def test_a_folder_is_read_as_documented(folder: Path) -> None:
    collection = CollectionFolder(str(folder))
    assert list(collection.passages(Problems())) == [Passage("p1", "", "one"), Passage("2", "T", "two", "fi")]
    assert list(collection.queries("dev", Problems())) == [Query("q1", "?", "ru")]
    assert list(collection.queries("test", Problems())) == [Query("q2", "??", "ko", ("a",))]
    assert list(collection.judgements("test", Problems())) == [Judgement("q2", "2", 2)]
    assert list(collection.examples("train", Problems())) == []
    assert collection.generated_file() == folder / "generated.jsonl"
    assert list(read_generated_queries(folder / "generated.jsonl", Problems())) == [
        GeneratedTexts("p1", {"ar": ("س؟",), "te": ()})
    ]


def test_judged_queries_are_examples_and_train_jsonl_goes_before_them(folder: Path) -> None:
    judged = lines(
        {"query_id": "q1", "query": "?", "lang": "ru"},
        {"query_id": "q2", "query": "??", "lang": "ko"},
        {"query_id": "q3", "query": "???", "lang": "fi", "split": "train"},
    )
    (folder / "queries.jsonl").write_text(judged)
    (folder / "qrels.tsv").write_text("q1 0 2 1\nq1 0 p1 0\nq2 0 p1 0\nq3 0 p1 1\nq3 0 2 2\n")
    one, two = Passage("p1", "", "one"), Passage("2", "T", "two", "fi")
    collection = CollectionFolder(str(folder))
    assert list(collection.examples("dev", Problems())) == [TrainingExample(Query("q1", "?", "ru"), (two,), (one,))]
    assert list(collection.examples("train", Problems())) == [TrainingExample(Query("q3", "???", "fi"), (one, two))]
    passages = [{"docid": "p9", "title": "", "text": "nine"}]
    (folder / "train.jsonl").write_text(
        lines({"query_id": "t", "query": "!", "lang": "te", "positive_passages": passages, "negative_passages": []})
    )
    assert [example.query.query_id for example in collection.examples("train", Problems())] == ["t"]


def test_an_example_s_passage_that_the_corpus_lacks_is_named_or_skipped(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("q1 0 p1 1\nq1 0 p7 1\n")
    collection = CollectionFolder(str(folder))
    with pytest.raises(DataError, match=r"qrels\.tsv: the passage 'p7' is not in corpus\.jsonl"):
        list(collection.examples("dev", Problems()))
    problems = Problems(strict=False)
    (example,) = collection.examples("dev", problems)
    assert [passage.passage_id for passage in example.positives] == ["p1"] and problems.num_skipped == 1


def test_gzipped_files_are_found(folder: Path) -> None:
    plain = folder / "corpus.jsonl"
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(DataError, match="there must be one file of the two"):
        CollectionFolder(str(folder))
    plain.unlink()
    assert len(list(CollectionFolder(str(folder)).passages(Problems()))) == 2


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (
            "queries.jsonl",
            lines({"query_id": "q1", "query": "?", "lang": "ru", "split": "valid"}),
            "field 'split': must be one of train, dev, test, got 'valid'",
        ),
        (
            "queries.jsonl",
            lines({"query_id": "q1", "query": "?", "lang": "ru"}) * 2,
            "line 2, field 'query_id': ids must be unique, got 'q1' again",
        ),
        ("qrels.tsv", "q9 0 p1 1\n", "the query 'q9' is not in queries.jsonl"),
        ("qrels.tsv", "q1 0 p1\n", "line 1: a line must have 4 fields, got 3"),
        ("qrels.tsv", "q1 0 p1 yes\n", "line 1: relevance must be a whole number, got 'yes'"),
        ("generated.jsonl", lines({"docid": "p1", "generated_queries": {"xx": []}}), r"field 'generated_queries\.xx'"),
        (
            "generated.jsonl",
            lines({"docid": "p1", "generated_queries": {"sw": [], "swa": []}}),
            "languages must be named once each, got 'sw' twice",
        ),
        ("generated.jsonl", lines({"docid": "p1", "generated_queries": ["?"]}), "must be a JSON object"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, file: str, content: str, says: str) -> None:
    (folder / file).write_text(content)
    collection = CollectionFolder(str(folder))
    with pytest.raises(DataError, match=says) as error:
        [
            *collection.queries("dev", Problems()),
            *collection.judgements("dev", Problems()),
            *read_generated_queries(folder / "generated.jsonl", Problems()),
        ]
    assert file in str(error.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path must be a folder"):
        CollectionFolder(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"corpus\.jsonl: there is no such file"):
        CollectionFolder(str(tmp_path))
    (tmp_path / "corpus.jsonl").write_text(lines({"docid": "p1", "text": "one"}))
    with pytest.raises(DataError, match=r"data\.path must be a folder, got a file\. Give the folder that it is in"):
        CollectionFolder(str(tmp_path / "corpus.jsonl"))
    with pytest.raises(DataError, match=rf"Did you mean '{tmp_path}'"):
        CollectionFolder(f"{tmp_path}s")


def test_a_bad_query_is_named_before_the_judgements_miss_it(folder: Path, tmp_path: Path) -> None:
    (folder / "queries.jsonl").write_text(lines({"query_id": "q1", "query": "?", "lang": "Portugese"}))
    collection = CollectionFolder(str(folder))
    store = open_collection(collection, tmp_path / "artifacts", Problems())
    with pytest.raises(DataError, match=r"queries\.jsonl, line 1, field 'lang': .*Did you mean 'portuguese'"):
        count_benchmark(collection, store, Problems())
