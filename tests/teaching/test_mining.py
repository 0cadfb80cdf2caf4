import json
from pathlib import Path

import pytest
from rich.console import Console

from xdr.data.collection_folder import CollectionFolder
from xdr.data.problems import Problems
from xdr.errors import ArtefactError, UserError
from xdr.retrieval.trec_runs import Run, write_run
from xdr.teaching.mining import MiningJob, mine, read_mined, with_threshold
from xdr.teaching.settings import LabelRules
from xdr.training.run_negatives import training_examples

TEXTS = {"a": "Saimaa lies in Finland .", "b": "A lake of Finland .", "c": "Volga", "d": "Don", "e": "Nile"}
RUN: Run = {"q": {"a": 0.9, "c": 0.88, "b": 0.8, "d": 0.7}, "r": {"c": 0.9, "d": 0.8}}
RULES = LabelRules(True, None, None, 0.1, 4, 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two questions; e is known to answer the first one, and was not found."""
    rows = [{"docid": key, "title": key, "text": text} for key, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    queries = [
        {"query_id": "q", "query": "Missä Saimaa on?", "lang": "fi", "answers": ["Finland"], "split": "train"},
        {"query_id": "r", "query": "Missä Inari on?", "lang": "fi", "answers": ["Lapland"], "split": "train"},
    ]
    (tmp_path / "queries.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in queries))
    (tmp_path / "qrels.tsv").write_text("q\t0\te\t1\n")
    write_run(tmp_path / "run.trec", RUN)
    return tmp_path


def job(folder: Path, rules: LabelRules = RULES) -> MiningJob:
    return MiningJob(CollectionFolder(str(folder)), folder / "run.trec", None, rules, folder / "artifacts", folder / "mined")


def test_a_run_becomes_a_training_set_with_counts_that_training_reads(folder: Path) -> None:
    """The known passage is first. Beside b with 0.8, c with 0.88 is too near."""
    mine(job(folder), Problems(), Console(quiet=True))
    benchmark = CollectionFolder(str(folder))
    (example,) = training_examples(benchmark, None, None, str(folder / "mined"), folder / "artifacts", Problems())
    assert "".join(passage.passage_id for passage in example.positives) == "eab"
    assert [passage.passage_id for passage in example.negatives] == ["d"]
    assert (example.query.answers, example.positive_scores) == (("Finland",), ())
    report = json.loads((folder / "mined" / "mined.json").read_text())
    assert report["queries"] == {"kept": 1, "without positives": 1}
    assert report["kept_by_language"] == {"fi": 1}
    assert report["passages"]["labelled positive"] == 2 and report["passages"]["too near to a positive"] == 1
    assert read_mined(str(folder / "mined" / "mined.jsonl"), benchmark, Problems()) == [example]


def test_mined_examples_that_were_changed_are_refused_unless_their_file_is_given(folder: Path) -> None:
    mine(job(folder), Problems(), Console(quiet=True))
    benchmark, file = CollectionFolder(str(folder)), folder / "mined" / "mined.jsonl"
    file.write_text(file.read_text().replace("Finland", "Finlund"))
    with pytest.raises(ArtefactError, match=r"mined\.jsonl is not what stage=mine wrote: its SHA-256 differs"):
        read_mined(str(folder / "mined"), benchmark, Problems())
    assert read_mined(str(file), benchmark, Problems())[0].query.answers == ("Finlund",)


def test_without_a_single_example_the_counts_say_why(folder: Path) -> None:
    with pytest.raises(UserError, match="no training query has a positive and a negative passage. .*mined.json counts why"):
        mine(job(folder, LabelRules(False, 0.0, None, 0.5, 4, 30)), Problems(), Console(quiet=True))
    assert json.loads((folder / "mined" / "mined.json").read_text())["queries"]["without negatives"] == 2


def test_a_quantile_is_that_of_the_passages_that_are_known_to_answer() -> None:
    scores = {"q": {"a": -1.0, "b": -9.0}, "r": {"c": -3.0}}
    rules = with_threshold(LabelRules(False, None, 0.5, 0.1, 4, 30), scores, {"q": ["a"], "r": ["c", "unscored"], "s": ["a"]})
    assert (rules.threshold, rules.quantile) == (-2.0, None)
    assert with_threshold(RULES, scores, {}) == RULES
    with pytest.raises(UserError, match="mining.quantile must be null for data that names no passages that answer"):
        with_threshold(LabelRules(False, None, 0.5, 0.1, 4, 30), scores, {})


def test_mined_examples_take_no_passages_from_elsewhere(folder: Path) -> None:
    with pytest.raises(UserError, match="data.negatives must be null with data.mined, which has negatives and scores, got x"):
        training_examples(CollectionFolder(str(folder)), "x", None, str(folder), folder / "artifacts", Problems())
