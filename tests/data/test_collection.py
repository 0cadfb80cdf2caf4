import json
from pathlib import Path

import pytest

from xdr.data.collection import open_collection
from xdr.data.collection_folder import CollectionFolder
from xdr.data.collection_summary import count_benchmark
from xdr.data.problems import Problems
from xdr.data.tevatron import TevatronFiles
from xdr.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"docid": f"p{i}", "text": f"t{i}"}) + "\n" for i in range(3)))
    (folder / "queries.jsonl").write_text(json.dumps({"query_id": "q", "query": "?", "lang": "ko"}))
    (folder / "qrels.tsv").write_text("q 0 p1 1\n")
    return folder


def test_a_collection_is_converted_once_and_again_when_its_file_changes(folder: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    first = open_collection(CollectionFolder(str(folder)), tmp_path / "a", Problems(), seen.append)
    second = open_collection(CollectionFolder(str(folder)), tmp_path / "a", Problems(), seen.append)
    assert (first.folder, seen) == (second.folder, [3])
    with (folder / "corpus.jsonl").open("a") as file:
        file.write(json.dumps({"docid": "p3", "text": "t3"}))
    assert len(open_collection(CollectionFolder(str(folder)), tmp_path / "a", Problems())) == 4


def test_what_was_skipped_is_remembered_with_the_store(folder: Path, tmp_path: Path) -> None:
    with (folder / "corpus.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(DataError, match="line 4"):
        open_collection(CollectionFolder(str(folder)), tmp_path / "a", Problems())
    for _ in range(2):
        store = open_collection(CollectionFolder(str(folder)), tmp_path / "a", Problems(strict=False))
        assert store.notes[0].startswith("1 bad lines were skipped")


def test_a_judgement_of_a_passage_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    benchmark = CollectionFolder(str(folder))
    store = open_collection(benchmark, tmp_path / "a", Problems())
    (counts,) = count_benchmark(benchmark, store, Problems())
    assert (counts.split, counts.language, counts.queries, counts.judged) == ("dev", "ko", 1, 1)
    (folder / "qrels.tsv").write_text("q 0 p9 1\n")
    with pytest.raises(DataError, match="the passage 'p9', judged for query 'q', is not in the collection"):
        count_benchmark(benchmark, store, Problems())
    (counts,) = count_benchmark(benchmark, store, Problems(strict=False))
    assert counts.judged == 0


def test_a_missing_file_of_passages_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.jsonl: there is no such file"):
        open_collection(TevatronFiles(str(tmp_path / "nowhere.jsonl")), tmp_path / "artifacts", Problems())
