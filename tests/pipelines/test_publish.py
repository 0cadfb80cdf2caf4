"""stage=publish: the folders and cards, as sentence-transformers, the hub's card reader and datasets read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipelines.test_evaluate import evaluate
from tests.runs import run, start
from xdr.encoders.encoder import load_encoder
from xdr.errors import ArtefactError, UserError
from xdr.interop.publishing import PublishSettings, push
from xdr.pipelines.publish import training_settings


def publish(folder: Path, *arguments: str) -> str:
    return run(folder, "stage=publish", *arguments, quick=["data=sample"], script="evaluate.py")


@pytest.fixture(scope="module")
def evaluated(trained_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    untrained = f"checkpoint={trained_encoder / 'checkpoints' / 'model'}"
    evaluate(folder.parent / "untrained", untrained, "evaluation.metrics=[MRR@10,recall@10]")
    others = f"compare_to=[{folder.parent / 'untrained'}]"
    evaluate(folder, f"checkpoint={trained_encoder}", "evaluation.metrics=[MRR@10,recall@10]", others)
    return folder


def test_a_model_is_sentence_transformers_and_its_card_says_what_was_measured(
    trained_encoder: Path, evaluated: Path, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard
    from sentence_transformers import SentenceTransformer

    arguments = (f"checkpoint={trained_encoder}", "publish.name=org/small", "publish.licence=mit")
    output = publish(tmp_path / "run", *arguments, f"publish.results={evaluated}")
    assert "Not pushed. publish.push=true uploads it as org/small" in output
    folder = tmp_path / "run" / "published" / "model"
    ours = load_encoder(str(trained_encoder)).encode_queries(["Missä Saimaa sijaitsee?"])
    theirs = SentenceTransformer(str(folder), device="cpu").encode_query(["Missä Saimaa sijaitsee?"])
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name) == ("mit", "sentence-transformers")
    assert 'SentenceTransformer("org/small")' in card.text and "24 tokens of a query and 24 of a\npassage" in card.text
    means = json.loads((evaluated / "metrics.json").read_text())
    assert f"| baseline | {100 * means['baseline']['MRR@10']['macro']:.1f} |" in card.text
    assert "| untrained:baseline | MRR@10 | " in card.text
    assert str(tmp_path.parent) not in card.text and "learning_rate: 0.001" in card.text


def test_results_of_another_encoder_are_refused(trained_encoder: Path, evaluated: Path, tmp_path: Path) -> None:
    arguments = (f"checkpoint={trained_encoder / 'checkpoints' / 'model'}", f"publish.results={evaluated}")
    process = start(tmp_path / "run", "stage=publish", *arguments, quick=["data=sample"], script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "publish.results must be an evaluation of this encoder" in output
    assert not (tmp_path / "run" / "published").exists()


def test_questions_are_a_data_set(tmp_path: Path) -> None:
    from datasets import load_dataset
    from huggingface_hub import DatasetCard

    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"docid": "1", "generated_queries": {"fi": ["mitä?", "missä?"], "pt": []}}) + "\n")
    publish(tmp_path / "run", "augmentation=generated_queries", f"augmentation.source={texts}", "publish.licence=cc-by-sa-4.0")
    folder = tmp_path / "run" / "published" / "questions"
    rows = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 144 and rows[0]["docid"] == "1" and rows[0]["generated_queries"]["fi"] == ["mitä?", "missä?"]
    card = DatasetCard.load(folder / "README.md")
    assert (card.data.license, card.data.language) == ("cc-by-sa-4.0", ["fi"])
    assert (
        "| fi | 2 |" in card.text
        and "written by a model" in card.text
        and "about 1 passage," in card.text
        and str(tmp_path) not in card.text
    )


class Hub:
    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, name: str, **settings: Any) -> str:
        self.calls.append((name, settings))
        return f"https://huggingface.co/{name}"

    def upload_folder(self, **settings: Any) -> None:
        self.calls.append((settings["repo_id"], settings))


def test_a_push_creates_the_repository_and_uploads_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert push(tmp_path, "org/name", "model", private=True) == "https://huggingface.co/org/name"
    (_, created), (_, uploaded) = hub.calls
    assert created == {"repo_type": "model", "private": True, "exist_ok": True}
    assert (uploaded["folder_path"], uploaded["repo_type"]) == (tmp_path, "model")
    monkeypatch.setattr(hub, "upload_folder", lambda **settings: 1 / 0)
    with pytest.raises(UserError, match="is written, and pushing it to org/name failed: division by zero"):
        push(tmp_path, "org/name", "model", private=True)


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"name": "small"}, "publish.name must be ORG/NAME"), ({"push": True}, "needs publish.name=ORG/NAME and publish.licence")],
)
def test_settings_that_cannot_be_pushed_are_refused(changed: dict[str, Any], says: str) -> None:
    settings = {"name": None, "licence": None, "results": None, "push": False, "private": True}
    with pytest.raises(UserError, match=says):
        PublishSettings(**{**settings, **changed})


@pytest.mark.parametrize("content", ["settings: [", "", "settings: 3"])
def test_damaged_settings_of_the_training_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "hparams.yaml").write_text(content)
    with pytest.raises(ArtefactError, match=r"hparams\.yaml is damaged: .*Remove it, and the card has no settings"):
        training_settings(tmp_path)
