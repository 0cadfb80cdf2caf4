"""What is no finished evaluation, or has lost what it was made from, is refused in one sentence with the remedy."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.explore import KEPT_SETTINGS, kept_settings
from tests.runs import run
from xdr.encoders.small import build_small_bert
from xdr.errors import ArtefactError, UserError
from xdr.explorer.finished import Finished, open_finished


@pytest.fixture
def copied(evaluations: Path, tmp_path: Path) -> Path:
    """An evaluation and its artifacts, to be damaged."""
    shutil.copytree(evaluations, tmp_path / "copy")
    folder = tmp_path / "copy" / "unit_mean"
    environment = (folder / "environment.json").read_text()
    (folder / "environment.json").write_text(environment.replace(str(evaluations), str(tmp_path / "copy")))
    return folder


def opened(folder: Path) -> Finished:
    return open_finished(folder, kept_settings(folder))


def vectors_of(folder: Path) -> Path:
    return Path(json.loads((folder / "environment.json").read_text())["embeddings"])


def test_a_copy_opens_and_the_encoder_is_that_of_the_vectors(copied: Path) -> None:
    finished = opened(copied)
    assert finished.alphas == {"unit_mean-a0.1": 0.1, "unit_mean-a0.25": 0.25, "unit_mean-a0.375": 0.375}
    assert finished.load_encoder().dimension == finished.scores.embeddings.dimension
    assert vectors_of(copied).is_relative_to(copied.parent)


def test_a_folder_that_no_evaluation_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be the output folder of a finished evaluation, got .*no environment.json. Run"):
        kept_settings(tmp_path)
    with pytest.raises(UserError, match="must be the output folder of a finished evaluation"):
        kept_settings(tmp_path / "nowhere")


def test_a_sweep(tmp_path: Path) -> None:
    run(tmp_path / "sweep", "stage=prepare", "data.strict=true,false", quick=["-m", "data=sample"], script="evaluate.py")
    with pytest.raises(UserError, match="must be the folder of one evaluation, got .*, a sweep. Give the folder of a job"):
        kept_settings(tmp_path / "sweep")


def change_settings(folder: Path, before: str, after: str) -> None:
    file = folder / KEPT_SETTINGS
    changed = re.sub(before, after, file.read_text(), count=1, flags=re.M)
    assert changed != file.read_text()
    file.write_text(changed)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "settings": (lambda folder: (folder / KEPT_SETTINGS).unlink(), "must have the settings of its evaluation, .* Run it again"),
    "stage": (lambda folder: change_settings(folder, "^stage: score", "stage: encode"), "stage=encode ran last. Run the eval"),
    "vectors": (
        lambda folder: shutil.rmtree(vectors_of(folder)),
        "the vectors of .* are gone: they were in .* run the evaluation",
    ),
    "shard": (
        lambda folder: shutil.rmtree(vectors_of(folder) / "shard-00003"),
        "lacks 1 of 12 shards: shard-00003. Run the com",
    ),
    "passages": (
        lambda folder: shutil.rmtree(folder.parent / "artifacts" / "collections"),
        "the passages of these vectors are gone: .* Run the evaluation again",
    ),
    "texts": (
        lambda folder: (
            shutil.rmtree(folder.parent / "artifacts" / "generated"),
            change_settings(folder, "source: questions:train", "source: nowhere"),
        ),
        "nowhere: augmentation.source must be a folder of stage=generate.*Nothing of that name exists",
    ),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_what_is_gone_is_named_with_the_remedy(damage: str, copied: Path) -> None:
    do, sentence = DAMAGES[damage]
    do(copied)
    with pytest.raises(UserError, match=sentence) as problem:
        opened(copied)
    assert "\n" not in str(problem.value)


def test_settings_that_were_damaged_are_one_sentence(copied: Path) -> None:
    for content in ("a: [", "\0", "7", "stage: score\ncheckpoint: x\n"):
        (copied / KEPT_SETTINGS).write_text(content)
        with pytest.raises(ArtefactError, match=r"config\.yaml is damaged: .*Run the evaluation again"):
            kept_settings(copied)


def test_another_encoder_at_the_same_place(copied: Path, tmp_path: Path) -> None:
    other = build_small_bert(["words of another encoder"], tmp_path / "other", seed=1, hidden=32, layers=1)
    change_settings(copied, "^checkpoint: .*", f"checkpoint: {other}")
    change_settings(copied, "^  pooling: null", "  pooling: mean")
    with pytest.raises(UserError, match="is no longer the encoder of the vectors in .*. Run the evaluation again"):
        opened(copied).load_encoder()
