"""A finished evaluation for the tests of this room, which only read it."""

from pathlib import Path

import pytest

from conf.explore import kept_settings
from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.runs import run
from xdr.explorer.answers import Answers
from xdr.explorer.finished import Finished, open_finished
from xdr.explorer.query_vectors import QueryVectors

QUESTIONS = ["augmentation=generated_queries", "augmentation.source=questions:train", "augmentation.keep=language"]


@pytest.fixture(scope="session")
def evaluations(trained_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`unit_mean` with all questions, `sum` with those of two languages, and `plain` with none."""
    folder = tmp_path_factory.mktemp("evaluations")
    shared = [f"checkpoint={trained_encoder}", f"artifacts_dir={folder / 'artifacts'}", "search.depth=144"]
    for name, *more in (
        ("plain",),
        ("unit_mean", *QUESTIONS, "augmentation.fusion=unit_mean", "augmentation.alpha=[0.1,0.25,0.375]"),
        ("sum", *QUESTIONS, "augmentation.fusion=sum", "augmentation.alpha=[0.01,0.2]", "augmentation.languages=[fi,ar]"),
    ):
        run(folder / name, *shared, *more, quick=QUICK_EVALUATION, script="evaluate.py")
    return folder


@pytest.fixture(scope="session", params=["unit_mean", "sum"])
def finished(request: pytest.FixtureRequest, evaluations: Path) -> Finished:
    folder = evaluations / request.param
    return open_finished(folder, kept_settings(folder))


@pytest.fixture(scope="session")
def vectors(evaluations: Path) -> QueryVectors:
    """Of the questions of both evaluations."""
    folder = evaluations / "unit_mean"
    opened = open_finished(folder, kept_settings(folder))
    found = QueryVectors(opened.load_encoder, [query.text for query in opened.qrels.queries])
    found.start()
    assert found.wait(120), found.problem
    return found


@pytest.fixture
def answers(finished: Finished, vectors: QueryVectors) -> Answers:
    return Answers(finished, vectors)
