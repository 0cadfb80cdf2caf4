"""Controls as a user names them: searched beside the augmented systems, encoded once, and refused where they mean nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from conf import entry
from evaluate import main
from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.pipelines.test_query_side import PASSAGES, QUERIES, assert_ranked_as, vectors
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.encoders.static_encoder import StaticEncoder
from xdr.errors import UserError
from xdr.text.prompts import passage_text
from xdr.text.sentences import split_sentences
from xdr.vectors.fusing import Fusing
from xdr.vectors.fusion import FUSIONS
from xdr.writing.generated_store import GeneratedStore

NAMES = ["mean_text", "mean_text_by_language", "other_passages", "own_sentences"]
AUGMENTED = [
    "augmentation=generated_queries",
    "augmentation.source=questions:train",
    "augmentation.fusion=unit_mean",
    "augmentation.alpha=[0.2,0.4]",
    "augmentation.keep=language",
    f"augmentation.controls=[{','.join(NAMES)}]",
    "evaluation.metrics=[MRR@10]",
    "search.depth=20",
]


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    return np.asarray(vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True))


def test_controls_rank_as_numpy_says_and_are_encoded_once(trained_encoder: Path, tmp_path: Path) -> None:
    shared = [*QUICK_EVALUATION, f"checkpoint={trained_encoder}", f"artifacts_dir={tmp_path / 'artifacts'}", *AUGMENTED]
    main(entry.compose("evaluate", [*shared, f"output_dir={tmp_path / 'run'}"]))
    systems = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(systems) == ["baseline"] + [
        f"unit_mean-a{alpha}{label}" for label in ("", *(f"-{name}" for name in NAMES)) for alpha in (0.2, 0.4)
    ]
    queries_QD = vectors(trained_encoder, [query.text for query in QUERIES])
    passages_ND = unit(vectors(trained_encoder, [passage_text(passage) for passage in PASSAGES]))
    sentences = [split_sentences(passage.text) for passage in PASSAGES]
    ends = np.cumsum([0, *map(len, sentences)])
    own_ND = np.add.reduceat(vectors(trained_encoder, [text for own in sentences for text in own]), ends[:-1])
    asked = [example.query.text for example in Sample().examples("train", Problems())]
    mean_D = vectors(trained_encoder, asked).mean(axis=0, keepdims=True)
    runs = tmp_path / "run" / "runs"
    assert_ranked_as(runs / "unit_mean-a0.4-own_sentences.trec", queries_QD, unit(0.6 * passages_ND + 0.4 * unit(own_ND)))
    assert_ranked_as(runs / "unit_mean-a0.2-mean_text.trec", queries_QD, unit(0.8 * passages_ND + 0.2 * unit(mean_D)))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").rglob("shard-*/*")}
    main(entry.compose("evaluate", [*shared, f"output_dir={tmp_path / 'again'}"]))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").rglob("shard-*/*")} == before
    for system in systems:
        name = f"{system}.trec"
        assert (tmp_path / "again" / "runs" / name).read_text() == (runs / name).read_text()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["augmentation.keep=total"], "augmentation.keep must be language or count with the control mean_text_by_language"),
        (["augmentation.controls=[mean_text,mean_text]"], "augmentation.controls must name each control once"),
        (["search.shard_size=13"], "search.shard_size must leave no shard with one passage"),
    ],
)
def test_what_means_nothing_is_refused(trained_encoder: Path, tmp_path: Path, more: list[str], problem: str) -> None:
    arguments = [*QUICK_EVALUATION, f"checkpoint={trained_encoder}", *AUGMENTED, f"output_dir={tmp_path}", *more]
    with pytest.raises(UserError, match=problem):
        main(entry.compose("evaluate", [*arguments, f"artifacts_dir={tmp_path}"]))


def test_unit_of_mean_asks_for_an_encoder_that_normalizes() -> None:
    """Stored are sums of vectors as they are."""
    fusing = Fusing(FUSIONS["unit_of_mean"], (0.5,), GeneratedStore.__new__(GeneratedStore), ("fi",), 0)
    fusing.require_unit_texts(StaticEncoder(torch.ones(2, 2), normalize=True))
    with pytest.raises(UserError, match="must be a formula for vectors of any norm, got unit_of_mean: this encoder does not"):
        fusing.require_unit_texts(StaticEncoder(torch.ones(2, 2), normalize=False))
