"""A round of mining as a user starts it, and training on what it leaves."""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import train
from conf import entry
from evaluate import main
from tests.pipelines.test_generate import contents
from tests.runs import run, start
from tests.stand_ins import PASSAGES, write_afriqa
from xdr.data.problems import Problems
from xdr.data.tevatron import read_training_examples
from xdr.encoders.small import build_small_bert
from xdr.errors import UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AfriQA's layout, and a backbone that is encoder and teacher."""
    folder = tmp_path_factory.mktemp("made")
    write_afriqa(folder / "afriqa")
    build_small_bert([passage.text for passage in PASSAGES], folder / "bert", seed=0, hidden=32, layers=1)
    return folder


def mining(made: Path, *arguments: str) -> list[str]:
    own = ["stage=mine", "data=afriqa", f"data.path={made / 'afriqa'}", "data.languages=[ha,zu]", f"checkpoint={made / 'bert'}"]
    own += ["evaluation.split=train", "evaluation.pooling=mean", "mining.margin=null", "search.depth=20"]
    own += ["teacher=encoder", f"teacher.path={made / 'bert'}", "teacher.pooling=mean", "teacher.passage_length=32"]
    return [*own, "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", *arguments]


def mine(folder: Path, made: Path, *arguments: str) -> None:
    arguments = (*arguments, f"output_dir={folder}", f"artifacts_dir={folder / 'artifacts'}")
    main(entry.compose("evaluate", mining(made, *arguments)))


def test_a_round_leaves_run_scores_counts_and_a_training_set_that_training_reads(made: Path, tmp_path: Path) -> None:
    mine(tmp_path / "round-1", made)
    examples = list(read_training_examples(tmp_path / "round-1" / "mined.jsonl", Problems()))
    report = json.loads((tmp_path / "round-1" / "mined.json").read_text())
    assert report["queries"]["kept"] == len(examples) == sum(report["kept_by_language"].values()) > 50
    assert len((tmp_path / "round-1" / "runs" / "baseline.trec").read_text().splitlines()) >= 20 * len(examples)
    assert json.loads((tmp_path / "round-1" / "taught" / "taught.json").read_text())["lists"] >= len(examples)
    for example in examples:
        assert len(example.positive_scores) == len(example.positives) <= 4
        assert len(example.negative_scores) == len(example.negatives) <= 20

    data = ["data=afriqa", f"data.path={made / 'afriqa'}", "data.languages=[ha,zu]", f"data.mined={tmp_path / 'round-1'}"]
    batches = ["data.batches.size=16", "data.batches.passages_per_query=4", "data.batches.twins_per_query=1"]
    quick = ["model.hidden=32", "model.layers=1", "trainer.max_steps=2", "trainer.accelerator=cpu", "callbacks.validation=null"]
    rest = ["objective=quick", "trainer.enable_progress_bar=false", "callbacks.checkpoints.monitor=null"]
    train.main(entry.compose("train", [*data, *batches, *quick, *rest, f"output_dir={tmp_path / 'round-1' / 'model'}"]))
    assert (tmp_path / "round-1" / "model" / "encoder").is_dir()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluation.split=dev"], "stage=mine must have evaluation.split=train .* got evaluation.split=dev"),
        (["teacher.candidates=x"], "teacher.candidates must be null with stage=mine, which makes them, got x"),
        (["mining.answers=false"], "mining.threshold or mining.quantile must be a number where mining.answers is false"),
        (["mining.margn=1"], "there is no setting 'mining.margn'; did you mean 'mining.margin'"),
        (["mining.margin=low"], "mining.margin must be a number or null, got 'low'"),
        (["plan=true"], "plan=true must be used with stage=generate, encode, score, teach, got stage=mine"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_encoded(
    made: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        mine(tmp_path, made, *arguments)
    assert not list(tmp_path.rglob("shard-*"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_round_goes_on_to_the_same_files(made: Path, tmp_path: Path) -> None:
    """Kills come after a new shard of vectors or of scores, and at any later moment."""
    arguments = mining(made, "search.shard_size=20", "teacher.shard_size=10")
    run(tmp_path / "whole", *arguments, quick=(), script="evaluate.py")
    rng, folder, kills = random.Random(5), tmp_path / "run", 0
    for _ in range(4):
        process = start(folder, *arguments, quick=(), script="evaluate.py")
        before, deadline = set(folder.rglob("shard-*")), time.time() + 120
        while process.poll() is None and set(folder.rglob("shard-*")) == before and time.time() < deadline:
            time.sleep(0.01)
        time.sleep(rng.choice([0, 0.05, 0.5]))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills > 1
    run(folder, *arguments, quick=(), script="evaluate.py")
    assert files(folder) == files(tmp_path / "whole")


def files(folder: Path) -> dict[str, Any]:
    """What a later round reads: the ranking, the scores and the training set; and the counts, without the names of folders."""
    counts = json.loads((folder / "mined.json").read_text())
    names = ("mined.jsonl", "runs/baseline.trec")
    kept = {name: (folder / name).read_bytes() for name in names}
    return {**kept, **contents(folder / "artifacts" / "taught"), "counts": [counts["queries"], counts["passages"]]}
