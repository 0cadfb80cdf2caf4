import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.sample import Sample
from xdr.data.beir_folder import BeirFolder, write_beir_folder
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query, TrainingExample

Write = Callable[[str, str | bytes], Path]

CORPUS = """{"_id": "d1", "title": "Saimaa", "text": "A lake.", "metadata": {}}
{"_id": "d2", "title": "Volga", "text": ""}
{"_id": "d3", "title": "", "text": " "}
"""
QUERIES = '{"_id": "q1", "text": "Wo?", "metadata": {}}\n{"_id": "q2", "text": "Was?"}\n'
ONE, TWO = Passage("d1", "Saimaa", "A lake."), Passage("d2", "", "Volga")


@pytest.fixture
def folder(write: Write) -> BeirFolder:
    write("queries.jsonl", QUERIES)
    write("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t2\nq1\td1\t0\n")
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq2\td1\t1\n")
    return BeirFolder(str(write("corpus.jsonl.gz", gzip.compress(CORPUS.encode())).parent), "german", "en")


def test_the_queries_of_a_split_are_those_that_its_qrels_judge(folder: BeirFolder) -> None:
    problems = Problems()
    assert list(folder.passages(problems)) == [ONE, TWO], "a document that is a title alone has it as text"
    assert problems.omitted == {"documents without text": 1}
    assert list(folder.queries("test", Problems())) == [Query("q2", "Was?", "de")]
    assert list(folder.judgements("test", Problems())) == [Judgement("q2", "d1", 1)]
    assert list(folder.examples("train", Problems())) == [TrainingExample(Query("q1", "Wo?", "de"), (TWO,), (ONE,))]
    assert list(folder.queries("dev", Problems())) == list(folder.examples("dev", Problems())) == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq9\td1\t1\n", "the query 'q9' is not in queries.jsonl"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq2\td1\tx\n", "field 'score': relevance must be a whole number"),
        ("qrels/test.tsv", "q2 0 d1 1\nq2 0 d1 1\n", "field 'score': the field is missing"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq2\td9\t1\n", "the passage 'd9' is not in corpus.jsonl"),
        ("queries.jsonl", '{"_id": "q2"}\n', "line 1, field 'text'"),
    ],
)
def test_what_does_not_fit_is_named(folder: BeirFolder, write: Write, name: str, content: str, says: str) -> None:
    write(name, content)
    with pytest.raises(DataError, match=says):
        list(folder.examples("test", Problems()))


def test_a_folder_without_qrels_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"data.path must have qrels/train.tsv, dev.tsv or test.tsv"):
        BeirFolder(str(write("corpus.jsonl", CORPUS).parent), "en", "en")


def test_what_is_written_is_read_again_with_its_languages(tmp_path: Path) -> None:
    sample, problems = Sample(), Problems()
    write_beir_folder(sample, tmp_path / "beir", problems)
    beir = BeirFolder(str(tmp_path / "beir"), "wo", "wo")
    assert list(beir.passages(problems)) == list(sample.passages(problems))
    for split in ("train", "dev"):
        assert list(beir.judgements(split, problems)) == list(sample.judgements(split, problems))
        expected = {(one.query_id, one.text, one.language) for one in sample.queries(split, problems)}
        assert {(one.query_id, one.text, one.language) for one in beir.queries(split, problems)} == expected
    assert (tmp_path / "beir" / "qrels" / "dev.tsv").read_text().startswith("query-id\tcorpus-id\tscore\n")
    with pytest.raises(DataError, match="there must be no such folder yet"):
        write_beir_folder(sample, tmp_path / "beir", problems)
