"""Corrections of hubs as a user asks for them, against the same in memory, without and with fusion, in one search."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import xdr
from tests.pipelines.test_encode_once import questions
from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.runs import run
from tests.wandb_files import read_run
from xdr import hub_correction, load_encoder, search
from xdr.benchmarks.sample import Sample
from xdr.data.collection import open_collection
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.tasks.retrieval_setup import _chosen
from xdr.vectors.query_bank import QueryBank
from xdr.writing.generated_source import import_generated

__all__ = ["questions"]  # a fixture

SYSTEMS = ["baseline", "unit_mean-a0.2", "unit_mean-a0.5"]
LABELS = ["csls-w0.5", "csls-w1"]
QUICK = ["search.depth=20", "evaluation.metrics=[recall@1,MRR@10]", "evaluation.headline=MRR@10"]


def evaluate(folder: Path, *arguments: str) -> str:
    return run(folder, *arguments, quick=[*QUICK_EVALUATION, *QUICK], script="evaluate.py")


def augmented(questions: Path | str) -> list[str]:
    texts = ["augmentation=generated_queries", f"augmentation.source={questions}"]
    return [*texts, "augmentation.fusion=unit_mean", "augmentation.alpha=[0.2,0.5]"]


@pytest.fixture(scope="module")
def corrected(trained_encoder: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("corrected") / "run"
    correction = ["correction=csls", "correction.k=5", "correction.strengths=[0.5,1]", "correction.bank.size=200"]
    output = evaluate(folder, f"checkpoint={trained_encoder}", *augmented(questions), *correction, "logger=offline")
    return folder, output


def test_corrected_systems_are_systems_like_any_other(corrected: tuple[Path, str]) -> None:
    folder, output = corrected
    names = [*SYSTEMS, *LABELS, *(f"{system}+{label}" for system in SYSTEMS[1:] for label in LABELS)]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics) == names
    assert sorted(path.stem for path in (folder / "runs").iterdir()) == sorted(names)
    found = json.loads((folder / "significance.json").read_text())
    with_baseline = [each for each in found["comparisons"] if each["baseline"] == "baseline"]
    with_control = [each for each in found["comparisons"] if each["baseline"] != "baseline"]
    assert {each["system"] for each in with_baseline} == set(names[1:])
    assert {each["system"] for each in with_control} == {name for name in names if name.startswith("unit_mean")}
    for metric in ("recall@1", "MRR@10"):
        best = max(LABELS, key=lambda label: metrics[label][metric]["macro"])
        assert {each["baseline"] for each in with_control if each["metric"] == metric} == {best}
    assert "the best control is csls-w" in output


def test_rankings_are_those_of_the_correction_in_memory(
    corrected: tuple[Path, str], trained_encoder: Path, questions: Path, tmp_path: Path
) -> None:
    """The vectors on disk are rounded to 16 bits, so close passages may swap."""
    encoder, sample = load_encoder(str(trained_encoder)), Sample()
    store = open_collection(sample, tmp_path, Problems(), lambda number: None)
    generated = import_generated([questions], store, tmp_path, lambda number: None)
    bank = QueryBank("generated", 200, None, 42).open(sample, store, generated)
    passages_PD = encoder.encode_passages(list(store)).astype(np.float16)
    bank_BD = encoder.encode_queries([text.text for text in bank.texts])
    queries = list(sample.queries("dev", Problems()))
    found = xdr.read_run(corrected[0] / "runs" / "csls-w0.5.trec")
    expected = search(
        encoder.encode_queries([query.text for query in queries]),
        passages_PD,
        20,
        query_ids=[query.query_id for query in queries],
        passage_ids=[passage.passage_id for passage in store],
        offsets=hub_correction(passages_PD, bank_BD, k=5, strength=0.5),
    )
    same = [list(found[query_id]) == list(of_query) for query_id, of_query in expected.items()]
    assert np.mean(same) > 0.95
    for query_id, of_query in expected.items():
        assert list(found[query_id].values()) == pytest.approx(list(of_query.values()), abs=1e-3)


def test_wandb_has_the_comparisons_with_the_best_control_and_the_coverage(corrected: tuple[Path, str]) -> None:
    found = read_run(corrected[0])
    significance = json.loads((corrected[0] / "significance.json").read_text())
    with_control = [each for each in significance["comparisons"] if each["baseline"] != "baseline"]
    (row,) = found.rows
    for each in with_control:
        name = f"{each['system']}/{each['metric']}/{each['language']}/over_control"
        assert row[f"{name}/difference"] == each["mean_difference"]
    assert [(line["system"], line["control"], line["difference"]) for line in found.tables["best_control"]] == [
        (each["system"], each["baseline"], each["mean_difference"]) for each in with_control
    ]
    assert row["coverage/passages"] == 140 / 144
    assert found.tables["coverage"][0] == {"passages": "all", "with texts": 140, "of": 144, "share": 140 / 144}


def test_coverage_is_in_files_terminal_and_page(corrected: tuple[Path, str]) -> None:
    folder, output = corrected
    coverage = json.loads((folder / "significance.json").read_text())["coverage"]
    assert coverage["passages"] == {"covered": 140, "number": 144, "share": 140 / 144}
    assert coverage["languages"]["fi"]["covered"] == 140 and coverage["texts a passage"]["least"] == 0
    assert coverage["relevant"]["number"] + coverage["others"]["number"] == 144
    assert "140 of 144 passages have generated texts" in " ".join(output.split())
    assert "Which passages have generated texts?" in (folder / "report.html").read_text()


def test_query_bank_normalization_needs_no_augmentation(trained_encoder: Path, tmp_path: Path) -> None:
    """Twenty training questions as the bank, which ask about a part of the pool."""
    arguments = ["correction=query_bank", "correction.beta=[5,20]", "correction.bank.source=train", "correction.bank.size=20"]
    evaluate(tmp_path / "run", f"checkpoint={trained_encoder}", *arguments)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(metrics) == ["baseline", "query_bank-b5", "query_bank-b20"]
    assert metrics["baseline"] != metrics["query_bank-b20"]
    found = json.loads((tmp_path / "run" / "significance.json").read_text())
    assert {each["baseline"] for each in found["comparisons"]} == {"baseline"} and "coverage" not in found


def write_pool(folder: Path, questions: Path, augment: Callable[[int], bool]) -> None:
    """The sample's passages. People ask about the first half of them, in dev and in test; those of which `augment` says so have
    generated texts."""
    sample = Sample()
    folder.mkdir()
    passages = list(sample.passages(Problems()))
    row_of = {passage.passage_id: row for row, passage in enumerate(passages)}
    judged = [j for j in sample.judgements("dev", Problems()) if row_of[j.passage_id] < 72]
    asked = {query.query_id: query for query in sample.queries("dev", Problems())}
    lines = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    files = {
        "corpus.jsonl": [{"docid": p.passage_id, "title": p.title, "text": p.text} for p in passages],
        "queries.jsonl": [
            {"query_id": j.query_id, "query": asked[j.query_id].text, "lang": asked[j.query_id].language, "split": split}
            for j in judged
            for split in ["test" if row_of[j.passage_id] % 2 else "dev"]
        ],
        "generated.jsonl": [line for line in lines if augment(row_of[line["docid"]])],
    }
    for name, rows in files.items():
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    (folder / "qrels.tsv").write_text("".join(f"{j.query_id} 0 {j.passage_id} 1\n" for j in judged))


def test_settings_are_chosen_on_dev_and_reported_on_test(trained_encoder: Path, questions: Path, tmp_path: Path) -> None:
    """In a pool that is augmented on the side of the relevant passages, of which both evaluations warn."""
    write_pool(tmp_path / "pool", questions, lambda row: row < 72)
    pool = ["data=collection", f"data.path={tmp_path / 'pool'}", *augmented("null"), f"artifacts_dir={tmp_path / 'artifacts'}"]
    settings = [f"checkpoint={trained_encoder}", *pool, "correction=csls", "correction.strengths=[0.5,1]"]
    outputs = [evaluate(tmp_path / "dev", *settings)]
    on_test = [*settings, "evaluation.split=test", f"evaluation.choose_from={tmp_path / 'dev'}"]
    outputs.append(evaluate(tmp_path / "test", *on_test))
    there, here = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("dev", "test"))
    assert len(there) == 9 and len(here) == 4, "of each kind one"
    for kind in ("baseline", "unit_mean-a[^+]*", "csls-w.*", r"unit_mean.*\+csls-w.*"):
        candidates = [name for name in there if re.fullmatch(kind, name)]
        best = max(candidates, key=lambda name: there[name]["MRR@10"]["macro"])
        assert [name for name in here if re.fullmatch(kind, name)] == [best]
    assert len(list((tmp_path / "artifacts").rglob("measures.npy"))) == 12, "measured once, in twelve shards"
    assert "the alpha with the highest" not in outputs[1]
    for said in (" ".join(output.split()) for output in outputs):
        assert "a gain is an artefact of the pool: 100 % of the relevant passages and 33 % of the others" in said
        assert "a loss by the correction may be an artefact" in said
    assert "A gain is an artefact of the pool" in (tmp_path / "test" / "report.html").read_text()


def test_settings_that_were_chosen_on_the_reported_queries_are_refused(corrected: tuple[Path, str]) -> None:
    """In the process: nothing is encoded."""
    task = SimpleNamespace(systems=["baseline"])
    queries = list(Sample().queries("dev", Problems()))
    with pytest.raises(UserError, match="must be an evaluation of other queries, got .*, which has 1,152 of these"):
        _chosen(corrected[0], task, queries, [], "MRR@10")  # type: ignore[arg-type]  # what it reads of a task
    with pytest.raises(UserError, match="evaluation.choose_from must be an evaluation's output folder, got nothing"):
        _chosen(Path("nothing"), task, queries, [], "MRR@10")  # type: ignore[arg-type]
