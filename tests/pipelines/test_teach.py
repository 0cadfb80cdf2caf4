"""A teacher's scores as a user makes them and trains with them."""

import csv
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train
from conf import entry
from evaluate import main
from tests.pipelines.test_generate import contents
from tests.runs import run, start
from tests.stand_ins import PASSAGES, TRAIN, write_collection
from xdr.encoders.encoder import load_encoder
from xdr.encoders.small import build_small_bert
from xdr.errors import UserError
from xdr.teaching.scores import open_scores


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection whose 128 training queries have negatives, and a backbone."""
    folder = tmp_path_factory.mktemp("made")
    write_collection(folder / "collection")
    build_small_bert([passage.text for passage in PASSAGES], folder / "bert", seed=0, hidden=32, layers=1)
    return folder


def teaching(made: Path, *arguments: str) -> list[str]:
    """A later argument takes the place of an earlier one of its name; `~NAME` leaves one out."""
    own = ["stage=teach", "data=collection", f"data.path={made / 'collection'}", "trainer.enable_progress_bar=false"]
    own += ["teacher=encoder", f"teacher.path={made / 'bert'}", "teacher.pooling=mean", "teacher.shard_size=40"]
    last = {word.lstrip("~").partition("=")[0]: word for word in [*own, "trainer.accelerator=cpu", *arguments]}
    return [word for word in last.values() if not word.startswith("~")]


def teach(folder: Path, made: Path, *arguments: str) -> None:
    arguments = (*arguments, f"output_dir={folder}", f"artifacts_dir={folder / 'artifacts'}")
    main(entry.compose("evaluate", teaching(made, *arguments)))


def report(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "taught.json").read_text())
    return values


@pytest.fixture(scope="module")
def taught(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught") / "run"
    teach(folder, made)
    return folder


def test_each_training_query_has_a_score_for_each_of_its_passages(made: Path, taught: Path) -> None:
    scores = dict(open_scores(str(taught)))
    assert (report(taught)["lists"], report(taught)["pairs"]) == (128, sum(map(len, scores.values())))
    assert sorted(shard.name for shard in Path(report(taught)["scores"]).glob("shard-*")) == [
        f"shard-0000{i}" for i in range(4)
    ]
    encoder = load_encoder(str(made / "bert"), pooling="mean")
    texts = {example.query.query_id: example.query.text for example in TRAIN}
    by_id = {passage.passage_id: passage for passage in PASSAGES}
    query_id, own = next(iter(scores.items()))
    expected = encoder.encode_passages([by_id[key] for key in own]) @ encoder.encode_queries([texts[query_id]])[0]
    np.testing.assert_allclose(list(own.values()), expected, rtol=1e-5)


def test_the_same_command_makes_nothing_again_and_another_teacher_s_scores_stand_beside(made: Path, taught: Path) -> None:
    before, first = contents(taught / "artifacts" / "taught"), report(taught)
    teach(taught, made)
    assert (contents(taught / "artifacts" / "taught"), report(taught)) == (before, first)
    teach(taught, made, "teacher.passage_length=9")
    assert report(taught)["scores"] != first["scores"]
    assert before.items() < contents(taught / "artifacts" / "taught").items()


def test_a_student_learns_from_the_scores(made: Path, taught: Path, tmp_path: Path) -> None:
    data = ["data=collection", f"data.path={made / 'collection'}", f"data.teacher_scores={taught}"]
    quick = ["model.hidden=32", "model.layers=1", "trainer.max_steps=2", "trainer.accelerator=cpu", "callbacks.validation=null"]
    batches = ["data.batches.size=32", "data.batches.passages_per_query=4", "trainer.enable_progress_bar=false"]
    objective = ["objective=distillation", "trainer.log_every_n_steps=1", "callbacks.checkpoints.monitor=null"]
    train.main(entry.compose("train", [*data, *quick, *batches, *objective, f"output_dir={tmp_path / 'run'}"]))
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    losses = [float(row["loss"]) for row in rows if row.get("loss")]
    assert len(losses) == 2 and all(loss > 0 for loss in losses)


def test_a_plan_measures_the_teacher(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teach(tmp_path, made, "plan=true")
    shown = capsys.readouterr().out
    assert "teaching" in shown and "128 lists" in shown
    assert not list(tmp_path.rglob("shard-*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["teacher.view=english"], "teacher.view must be one of original, translation, got 'english'"),
        (["teacher.pooling=null"], "pooling must be given for a plain backbone"),
        (["teacher.translations=x"], "teacher.translations must be null with teacher.view=original, got x"),
        (["teacher.view=translation"], "the data translates none of the 128 training queries. Give teacher.translations"),
        (["data=sample", "~data.path"], "teacher.candidates must be a TREC run for data without negatives, got null"),
        (["teacher.candidate=x"], "there is no setting 'teacher.candidate'; did you mean 'teacher.candidates'"),
        (["teacher=cross_encoder", "~teacher.pooling"], "path must be a sequence classifier, got"),
        (["teacher=generator", "~teacher.pooling"], "a generator must be of the T5 family"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(made: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        teach(tmp_path, made, *arguments)


def test_a_stage_without_a_teacher_and_scores_beside_negatives_are_refused(made: Path, taught: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stage=teach needs a teacher: teacher=encoder, late_interaction"):
        main(entry.compose("evaluate", ["stage=teach", f"output_dir={tmp_path}", f"artifacts_dir={tmp_path}"]))
    data = ["data=collection", f"data.path={made / 'collection'}", f"data.teacher_scores={taught}", "data.negatives=run.trec"]
    with pytest.raises(UserError, match="data.negatives must be null with data.teacher_scores, which has neg"):
        train.main(entry.compose("train", [*data, f"output_dir={tmp_path}"]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("processes", [(1,), (1, 2)])
def test_killed_ten_times_it_leaves_the_same_bytes(made: Path, tmp_path: Path, processes: tuple[int, ...]) -> None:
    arguments = teaching(made, "teacher.shard_size=2")
    run(tmp_path / "whole", *arguments, quick=(), script="evaluate.py")
    rng, folder, kills = random.Random(3), tmp_path / "run", 0
    while kills < 10:
        devices = processes[kills % len(processes)]
        process = start(folder, *arguments, f"trainer.devices={devices}", quick=(), script="evaluate.py")
        before, deadline = set(folder.rglob("shard-*")), time.time() + rng.choice([3, 120, 120])
        while process.poll() is None and set(folder.rglob("shard-*")) == before and time.time() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        else:
            shutil.rmtree(folder / "artifacts" / "taught", ignore_errors=True)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    run(folder, *arguments, f"trainer.devices={processes[-1]}", quick=(), script="evaluate.py")
    whole, continued = (contents(path / "artifacts" / "taught") for path in (tmp_path / "whole", folder))
    assert len(whole) == 2 * 64 and continued == whole
