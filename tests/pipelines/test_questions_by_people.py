"""What fusion gains where the questions are good: people's, about other facts of the same passages than those asked for."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.runs import run
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.models import StaticBiEncoder


def test_questions_by_people_raise_recall_with_an_encoder_that_never_saw_them(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """The sample's training questions (two a language and passage) stand in for a generator's; dev asks for other facts."""
    vectors = StaticBiEncoder(str(real_data("static-multilingual")), True, 32, 128, "", "")
    untrained, tokenizer = vectors.build(tmp_path, 0)
    save_encoder(untrained.encoder, tokenizer, tmp_path / "encoder")
    run(
        tmp_path / "run",
        f"checkpoint={tmp_path / 'encoder'}",
        "augmentation.alpha=[0.1,0.3,0.5]",
        quick=(
            "data=sample",
            "augmentation=generated_queries",
            "augmentation.source=questions:train",
            "augmentation.languages=[ar,bn,fi,ja,ko,ru,te]",
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
