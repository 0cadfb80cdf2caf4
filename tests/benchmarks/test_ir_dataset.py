"""Data sets of ir_datasets: one that is registered here, from files as the package reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xdr.benchmarks.ir_dataset import IrDataset
from xdr.data.collection import open_collection
from xdr.data.problems import Problems
from xdr.errors import DataError, UserError
from xdr.text.records import Judgement, Passage, Query

ir_datasets = pytest.importorskip("ir_datasets", reason="needs the package ir_datasets: pip install 'xdr[ir_datasets]'")

DOCUMENTS = "d1\tHelsinki on pääkaupunki.\nd2\tNairobi ni mji mkuu.\nd3\t \n"


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "docs.tsv").write_text(DOCUMENTS)
    (tmp_path / "queries.tsv").write_text("q1\tMikä on pääkaupunki?\n")
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq1 0 d2 0\n")
    name = "xdr-test/sample"
    data = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"), queries_tsv=str(tmp_path / "queries.tsv"), qrels_trec=str(tmp_path / "qrels")
    )
    ir_datasets.registry._registered[name] = data
    yield name
    del ir_datasets.registry._registered[name]


def data_set(name: str, **changed: Any) -> IrDataset:
    return IrDataset(name, **{"split": "test", "language": "fi", "passage_language": "fi", **changed})


def test_it_is_read_as_the_package_reads_it(registered: str, tmp_path: Path) -> None:
    data, problems = data_set(registered), Problems()
    assert list(data.passages(problems)) == [
        Passage("d1", "", "Helsinki on pääkaupunki.", "fi"),
        Passage("d2", "", "Nairobi ni mji mkuu.", "fi"),
    ]
    assert problems.report() == ["1 documents without text"]
    assert list(data.queries("test", problems)) == [Query("q1", "Mikä on pääkaupunki?", "fi")]
    assert list(data.judgements("test", problems)) == [Judgement("q1", "d1", 1), Judgement("q1", "d2", 0)]
    assert list(data.queries("dev", problems)) == list(data.judgements("train", problems)) == []
    assert len(open_collection(data, tmp_path / "artifacts", Problems())) == 2


def test_titles_are_titles() -> None:
    class Beir:
        docs_lang = staticmethod(lambda: "en")
        has_docs = staticmethod(lambda: True)

        @staticmethod
        def docs_iter() -> Iterator[Any]:
            kind = ir_datasets.datasets.beir.BeirTitleDoc
            yield kind("1", "text", "Title")
            yield kind("2", "", "Title alone")

    data = data_set("beir/scifact", passage_language=None)
    data.__dict__["_dataset"] = Beir
    assert list(data.passages(Problems())) == [Passage("1", "Title", "text", "en"), Passage("2", "", "Title alone", "en")]


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("beir/scifcat", {}, "data.id must be one of ir_datasets', got 'beir/scifcat'; did you mean 'beir/scifact'?"),
        ("xdr-test/sample", {"language": None}, "data.language must be given for xdr-test/sample"),
        ("xdr-test/sample", {"split": "validation"}, "data.split must be one of train, dev, test, got validation"),
    ],
)
def test_what_does_not_fit_is_refused(registered: str, name: str, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=".*") as said:
        list(data_set(name, **changed).queries("test", Problems()))
    assert says in str(said.value)


def test_a_download_that_fails_is_one_sentence() -> None:
    class Broken:
        has_docs = staticmethod(lambda: True)

        @staticmethod
        def docs_iter() -> Iterator[Any]:
            raise ConnectionError("no network\nand more")
            yield

    data = data_set("beir/scifact")
    data.__dict__["_dataset"] = Broken
    with pytest.raises(DataError, match=r"^beir/scifact: ir_datasets cannot read it: no network\. Is there a network"):
        list(data.passages(Problems()))
