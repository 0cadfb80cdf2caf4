"""MTEB's tasks in xdr and xdr's encoders in MTEB. MTEB's own scores are the judge."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xdr
from tests.interop.mteb_folder import CORPUS, QUERIES, RELEVANT, write_folder
from tests.pipelines.test_evaluate import QUICK_EVALUATION, metrics
from tests.runs import run
from xdr.benchmarks.mteb_task import MtebTask
from xdr.data.problems import Problems
from xdr.errors import DataError, UserError
from xdr.text.records import Judgement, Passage, Query

mteb = pytest.importorskip("mteb", reason="MTEB's tasks need the package mteb: pip install 'xdr[mteb]'")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of data sets: of this test, also in processes that it starts."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "xquad")


def task_of(folder: Path | None, task: str = "XQuADRetrieval", **changed: Any) -> MtebTask:
    settings = {"subset": "en", "split": None, "language": None, "passage_language": None, **changed}
    return MtebTask(task, path=str(folder) if folder else None, **settings)


def mteb_s_own(folder: Path) -> Any:
    """The task as MTEB reads it."""
    task = mteb.get_task("XQuADRetrieval", hf_subsets=["en"])
    task.metadata = task.metadata.model_copy(update={"dataset": {**task.metadata.dataset, "path": str(folder)}})
    return task


def evaluate_in_mteb(model: Any, folder: Path) -> dict[str, float]:
    result = mteb.evaluate(model, mteb_s_own(folder), cache=None, co2_tracker=False, show_progress_bar=False)
    scores: dict[str, float] = result.task_results[0].scores["validation"][0]
    return scores


def test_a_task_is_read_as_mteb_reads_it(folder: Path) -> None:
    task, problems = task_of(folder), Problems()
    assert list(task.passages(problems)) == [Passage(name, *texts, "en") for name, texts in CORPUS.items()]
    assert list(task.queries("dev", problems)) == [Query(name, text, "en") for name, text in QUERIES.items()]
    assert set(task.judgements("dev", problems)) == {Judgement(*pair, 1) for pair in RELEVANT.items()}
    assert list(task.queries("test", problems)) == []
    assert (task.passage_sources()[0].name, len(task.revision)) == ("README.md", 40)


@pytest.mark.parametrize(
    ("task", "changed", "says"),
    [
        ("XQuADRetrieva", {}, "data.task must be a task of MTEB, got 'XQuADRetrieva'; did you mean 'XQuADRetrieval'"),
        ("STS12", {}, "data.task must be a retrieval task of MTEB, got STS12, a task of STS"),
        ("XQuADRetrieval", {"subset": None}, "data.subset must be one of ar, de, .* for XQuADRetrieval, got null"),
        ("XQuADRetrieval", {"subset": "xx"}, "data.subset must be one of .*, got xx"),
        ("XQuADRetrieval", {"split": "test"}, "data.split must be one of validation for XQuADRetrieval, got test"),
        ("MLQARetrieval", {"subset": "eng-ara", "split": "test"}, "MLQARetrieval: the folder .* cannot be read"),
    ],
)
def test_what_mteb_does_not_have_is_refused(task: str, changed: dict[str, Any], says: str, folder: Path) -> None:
    with pytest.raises(UserError, match=says):
        list(task_of(folder, task, **changed).passages(Problems()))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path must be a folder in the hub's layout"):
        task_of(tmp_path / "nowhere")


def test_an_evaluation_leaves_mteb_s_scores_which_are_those_of_xdr(folder: Path, trained_encoder: Path, tmp_path: Path) -> None:
    settings = ["data.task=XQuADRetrieval", "data.subset=en", f"data.path={folder}", "evaluation.metrics=[nDCG@10,recall@1]"]
    quick = [setting for setting in QUICK_EVALUATION if not setting.startswith("data=")]
    run(tmp_path / "run", "data=mteb", f"checkpoint={trained_encoder}", *settings, quick=quick, script="evaluate.py")
    result = json.loads((tmp_path / "run" / "mteb" / "baseline" / "XQuADRetrieval.json").read_text())
    assert (result["task_name"], result["mteb_version"]) == ("XQuADRetrieval", mteb.__version__)
    ours, theirs = metrics(tmp_path / "run")["baseline"], result["scores"]["validation"][0]
    assert ours["nDCG@10"]["macro"] == pytest.approx(theirs["ndcg_at_10"], abs=1e-5)
    assert ours["recall@1"]["macro"] == pytest.approx(theirs["recall_at_1"], abs=1e-5)
    in_mteb = evaluate_in_mteb(xdr.mteb_model(xdr.load_encoder(str(trained_encoder))), folder)
    assert in_mteb["ndcg_at_10"] == pytest.approx(theirs["ndcg_at_10"], abs=1e-5)


def test_generated_queries_are_fused_into_the_index(folder: Path, trained_encoder: Path) -> None:
    encoder = xdr.load_encoder(str(trained_encoder))
    generated = {
        "d0": {"fi": ["Mikä on Suomen suurin järvi?"]},
        "d1": {"ko": ["김치는 무엇으로 만드나요?"], "en": ["cabbage?"]},
    }
    model = xdr.mteb_model(encoder, generated=generated, fusion="unit_of_mean", alpha=0.4)
    corpus, queries = mteb_s_own(folder), ["Where is Saimaa?"]
    corpus.load_data()
    data = corpus.dataset["en"]["validation"]
    model.index(data["corpus"])
    found = model.search(data["queries"], top_k=3)
    texts = [[text for own in generated.get(name, {}).values() for text in own] for name in CORPUS]
    groups = [encoder.encode_queries(own) if own else np.zeros((0, encoder.dimension)) for own in texts]
    fused_PD = xdr.fuse(encoder.encode_passages(list(CORPUS.values())), groups, "unit_of_mean", 0.4)
    expected = encoder.encode_queries(queries)[0] @ fused_PD.T
    assert [found["q0"][name] for name in CORPUS] == pytest.approx(expected.tolist(), abs=1e-5)
    assert list(model.search(data["queries"], top_k=2, top_ranked={name: ["d2", "d1"] for name in QUERIES})["q0"]) != ["d0"]


def test_questions_about_another_corpus_are_refused(folder: Path, trained_encoder: Path) -> None:
    model = xdr.mteb_model(xdr.load_encoder(str(trained_encoder)), generated={"x": {"fi": ["?"]}})
    with pytest.raises(UserError, match="generated must have texts for passages of this corpus, got none for d0, d1, d2"):
        evaluate_in_mteb(model, folder)


def test_tasks_of_other_kinds_take_the_encoder(trained_encoder: Path) -> None:
    encoder = xdr.load_encoder(str(trained_encoder))
    model = xdr.mteb_model(encoder, "me/encoder")
    batches = [{"text": ["one", "two"]}, {"text": ["three"]}]
    assert np.array_equal(model.encode(batches), encoder.encode_queries(["one", "two", "three"]))
    assert np.array_equal(model.encode(batches, prompt_type="document"), encoder.encode_passages(["one", "two", "three"]))
    vectors = model.encode(batches)
    assert model.similarity(vectors, vectors).diagonal().tolist() == pytest.approx(model.similarity_pairwise(vectors, vectors))
    assert model.mteb_model_meta.name == "me/encoder"
