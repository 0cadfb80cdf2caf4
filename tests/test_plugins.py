"""A benchmark, an objective, a fusion and a callback from a package outside xdr, with YAML files of their own."""

import json
import os
from pathlib import Path

import pytest

from tests.forks import start_script
from tests.runs import QUICK, ROOT

PLUGIN = ROOT / "tests" / "plugin"
RIVERS = ["Volga flows through Russia.", "Nile flows through Egypt.", "Kemi flows through Finland.", "Amur flows to the sea."]


def run(script: str, *arguments: str, status: int = 0) -> str:
    """Its output."""
    command = [str(ROOT / script), "--config-dir", str(PLUGIN / "conf"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PLUGIN)}
    process = start_script(command, ROOT, environment)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == status, output
    return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "rivers.txt").write_text("\n".join(RIVERS) + "\n", encoding="utf-8")
    lines = [
        {"docid": f"p{number}", "generated_queries": {"fi": [f"Missä on {text.split()[0]}?"]}}
        for number, text in enumerate(RIVERS)
    ]
    (folder / "generated.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_a_model_is_trained_on_a_benchmark_with_an_objective_and_a_callback_from_outside(folder: Path) -> None:
    callback = ["+callbacks.steps._target_=mylab.CountSteps", f"+callbacks.steps.path={folder / 'steps'}"]
    data = ["plugins=[mylab]", "data=rivers", f"data.path={folder / 'rivers.txt'}"]
    run(
        "train.py",
        *QUICK,
        *data,
        "objective=margin",
        *callback,
        "data.batches.size=4",
        "trainer.log_every_n_steps=1",
        f"output_dir={folder / 'train'}",
    )
    assert (folder / "steps").read_text() == "2"
    assert "loss/margin" in (folder / "train" / "metrics.csv").read_text()

    arguments = [
        f"checkpoint={folder / 'train'}",
        f"augmentation.source={folder / 'generated.jsonl'}",
        "augmentation.alpha=0.3",
    ]
    arguments += ["plugins=[mylab]", "data=rivers", f"data.path={folder / 'rivers.txt'}", "augmentation=generated_queries"]
    run(
        "evaluate.py",
        *arguments,
        "augmentation.fusion=mylab.half",
        "augmentation.alpha=0.3",
        f"output_dir={folder / 'evaluation'}",
    )
    assert list(json.loads((folder / "evaluation" / "metrics.json").read_text())) == ["baseline", "half-a0.3"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["data=rivers", "data.path=x"],
            "data._target_ must name something in xdr, callbacks, lightning, torch, got mylab",
        ),
        (["plugins=[mylab]", "data=rivers", "data.path=x", "data._target_=mylab.Rives"], "cannot be imported"),
        (
            ["plugins=[mylab]", "data=rivers", "data.path=x", "+data.depth=3"],
            "there is no setting 'data.depth' for mylab.Rivers",
        ),
        (["plugins=[mylab]", "data=rivers", "data.path=[x]"], "data.path must be text, got ['x']"),
        (["objective=margin"], "objective._target_ must name something in xdr, callbacks, lightning, torch, got mylab"),
    ],
)
def test_what_a_setting_may_name_is_checked(folder: Path, arguments: list[str], problem: str) -> None:
    output = run("train.py", *arguments, f"output_dir={folder / 'refused'}", status=2)
    assert problem in output and len(output.splitlines()) == 1
