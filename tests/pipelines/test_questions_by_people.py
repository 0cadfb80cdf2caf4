"""What fusion gains where the questions are good: people's, about other facts of the same passages than those asked for."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.runs import run
from xdr.data.problems import Problems
from xdr.data.sample import Sample
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.models import StaticBiEncoder


def test_questions_by_people_raise_recall_with_an_encoder_that_never_saw_them(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """The sample's training questions (two a language and passage) stand in for a generator's; dev asks for other facts."""
    collection = as_collection(tmp_path / "collection")
    vectors = StaticBiEncoder(str(real_data("static-multilingual")), True, 32, 128, "", "")
    untrained, tokenizer = vectors.build(tmp_path, 0)
    save_encoder(untrained.encoder, tokenizer, tmp_path / "encoder")
    run(
        tmp_path / "run",
        f"checkpoint={tmp_path / 'encoder'}",
        "augmentation.alpha=[0.1,0.3,0.5]",
        quick=(
            "data=collection",
            f"data.path={collection}",
            "augmentation=generated_queries",
            "augmentation.fusion=unit_mean",
            "evaluation.metrics=[MRR@10,recall@1,recall@10]",
            "evaluation.headline=MRR@10",
            "trainer.enable_progress_bar=false",
        ),
        script="evaluate.py",
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    comparisons = json.loads((tmp_path / "run" / "significance.json").read_text())["comparisons"]
    gains = {
        each["language"]: each["corrected_p"]["sign-flip randomisation"]
        for each in comparisons
        if (each["system"], each["metric"]) == ("unit_mean-a0.5", "MRR@10") and each["mean_difference"] > 0
    }
    print(json.dumps(metrics, indent=1))
    assert len(gains) == 9, "eight languages and their mean"
    assert gains["macro"] < 0.01 and sum(p < 0.05 for p in gains.values()) >= 7


def as_collection(folder: Path) -> Path:
    sample, problems = Sample(), Problems()
    folder.mkdir()
    about: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for example in sample.examples("train", problems):
        if example.query.language != "en":
            about[example.positives[0].passage_id][example.query.language].append(example.query.text)
    passages = list(sample.passages(problems))
    _write(folder / "corpus.jsonl", [{"docid": p.passage_id, "title": p.title, "text": p.text} for p in passages])
    _write(folder / "generated.jsonl", [{"docid": id_, "generated_queries": texts} for id_, texts in about.items()])
    queries = list(sample.queries("dev", problems))
    _write(folder / "queries.jsonl", [{"query_id": q.query_id, "query": q.text, "lang": q.language} for q in queries])
    judgements = sample.judgements("dev", problems)
    (folder / "qrels.tsv").write_text("".join(f"{j.query_id}\t0\t{j.passage_id}\t{j.relevance}\n" for j in judgements))
    return folder


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
