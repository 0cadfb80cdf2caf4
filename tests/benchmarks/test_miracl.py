import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.miracl import Miracl
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query, TrainingExample

Write = Callable[[str, str | bytes], Path]

SWAHILI = Passage("39#0", "Albedo", "Albedo ni kipimo.", "sw")


def write_language(write: Write, code: str, *splits: str) -> None:
    """The files of a language as in the hub's two repositories, cloned side by side."""
    for split in splits:
        queries = "".join(f"{number}\tNini {split} {number}?\n" for number in range(30 if split == "train" else 1))
        judged = "".join(f"{number}\tQ0\t39#0\t1\n{number}\tQ0\t39#10\t0\n" for number in range(30 if split == "train" else 1))
        write(f"miracl/miracl-v1.0-{code}/topics/topics.miracl-v1.0-{code}-{split}.tsv", queries)
        if "test" not in split:
            write(f"miracl/miracl-v1.0-{code}/qrels/qrels.miracl-v1.0-{code}-{split}.tsv", judged)
    for number, docid in enumerate(("39#0", "40#0", "39#10")):
        line = json.dumps({"docid": docid, "title": "Albedo", "text": "Albedo ni kipimo."})
        file = f"miracl-corpus/miracl-corpus-v1.0-{code}/docs-{number * 5}.jsonl.gz"
        folder = write(file, gzip.compress(line.encode())).parents[2]
    return folder


@pytest.fixture
def folder(write: Write) -> str:
    write_language(write, "de", "dev", "test-b")
    return str(write_language(write, "sw", "train", "dev", "test-a", "test-b"))


def test_one_language_has_the_ids_of_the_release(folder: str) -> None:
    benchmark = Miracl(folder, ("swahili",), "none")
    assert [file.name for file in benchmark.passage_sources()] == [f"docs-{n}.jsonl.gz" for n in (0, 5, 10)]
    assert [passage.passage_id for passage in benchmark.passages(Problems())] == ["39#0", "40#0", "39#10"]
    assert list(benchmark.queries("dev", Problems())) == [Query("0", "Nini dev 0?", "sw")]
    assert list(benchmark.judgements("dev", Problems())) == [Judgement("0", "39#0", 1), Judgement("0", "39#10", 0)]
    (example,) = benchmark.examples("dev", Problems())
    other = Passage("39#10", SWAHILI.title, SWAHILI.text, "sw")
    assert example == TrainingExample(Query("0", "Nini dev 0?", "sw"), (SWAHILI,), (other,))
    assert [query.text for query in benchmark.queries("test", Problems())] == ["Nini test-a 0?", "Nini test-b 0?"]
    assert list(benchmark.judgements("test", Problems())) == list(benchmark.examples("test", Problems())) == []


def test_several_languages_share_ids_which_are_told_apart(folder: str) -> None:
    benchmark = Miracl(folder, ("sw", "de"), "none")
    assert len({passage.passage_id for passage in benchmark.passages(Problems())}) == 6
    assert [query.query_id for query in benchmark.queries("dev", Problems())] == ["sw:0", "de:0"]
    assert Judgement("de:0", "de:39#0", 1) in list(benchmark.judgements("dev", Problems()))
    assert {example.query.language for example in benchmark.examples("train", Problems())} == {"sw"}, "German has no train"


def test_a_tenth_of_train_can_be_held_out(folder: str) -> None:
    released, held_out = (Miracl(folder, ("sw", "de"), holdout) for holdout in ("none", "tenth"))
    train, dev, test = (list(held_out.queries(split, Problems())) for split in ("train", "dev", "test"))
    assert sorted(train + dev, key=str) == sorted(released.queries("train", Problems()), key=str)
    assert 0 < len(dev) < len(train)
    assert test == list(released.queries("dev", Problems()))
    judged = {judgement.query_id for judgement in held_out.judgements("dev", Problems())}
    assert judged == {query.query_id for query in dev}


def test_what_is_missing_is_named(folder: str) -> None:
    with pytest.raises(DataError, match="MIRACL has no 'pt'"):
        Miracl(folder, ("pt",), "none")
    with pytest.raises(DataError, match="data.path must have the folder miracl-v1.0-te"):
        list(Miracl(folder, ("te",), "none").queries("dev", Problems()))
    (Path(folder) / "miracl/miracl-v1.0-sw/topics/topics.miracl-v1.0-sw-dev.tsv").unlink()
    with pytest.raises(DataError, match="there is no such file"):
        list(Miracl(folder, ("sw",), "none").queries("dev", Problems()))
