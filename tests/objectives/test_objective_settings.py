"""Objectives as YAML files: alone, and with weights. A function that writes twins, likewise."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from conf import entry
from tests.test_entry import ROOT
from xdr.errors import UserError
from xdr.objectives.losses import Combined
from xdr.text.records import Query

FILES = sorted(path.stem for path in (ROOT / "conf" / "objective").glob("*.yaml"))


def combined(*overrides: str) -> Combined:
    built = entry.build_objective(entry.compose("train", list(overrides)))
    assert isinstance(built, Combined)
    return built


def weights(objective: Combined) -> dict[str, float]:
    return objective._weights


@pytest.mark.parametrize("name", [name for name in FILES if name != "combined"])
def test_every_objective_is_built_from_its_file(name: str) -> None:
    assert callable(entry.build_objective(entry.compose("train", [f"objective={name}"])))


def test_the_command_line_changes_a_weight_or_a_setting_and_leaves_out_a_part() -> None:
    changed = ["objective.parts.self_teaching.weight=.5", "objective.parts.passage_self_teaching=null"]
    objective = combined("objective=dual_self_teaching", *changed, "objective.parts.self_teaching.teacher_temperature=2")
    assert weights(objective) == {"contrastive": 0.5, "self_teaching": 0.5}
    assert objective._parts["self_teaching"].keywords == {  # type: ignore[attr-defined]  # a partial
        "teacher": "query",
        "stop_gradient": True,
        "teacher_temperature": 2,
    }


def test_the_sum_that_the_documents_show_is_an_experiment_in_yaml_alone(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(defaults:.*?)```", (ROOT / "docs" / "training.md").read_text("utf-8"), flags=re.DOTALL)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "fifth.yaml").write_text("# @package _global_\n" + shown)
    search = f"hydra.searchpath=['file://{tmp_path}']"
    objective = combined(search, "experiment=fifth", "objective.parts.margins.weight=3")
    assert weights(objective) == {"margins": 3, "twins": 0.2}
    assert objective._parts["twins"].keywords == {"anchor": "query"}  # type: ignore[attr-defined]  # a partial


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["objective=combined"], r"objective\.parts must name objectives, got none"),
        (["objective=alignment", "objective.parts.alignment.weight=-1"], r"alignment\.weight must be at least 0, got -1"),
        (["objective=alignment", "objective.parts.alignment.weight=x"], r"alignment\.weight must be a number, got 'x'"),
        (["objective=alignment", "objective.parts.alinment.weight=1"], r"did you mean 'objective\.parts\.alignment\.weight'"),
        (["objective=alignment", "objective.parts.alignment.teacher=both"], "teacher must be one of query, twin, got 'both'"),
        (["+objective@objective.parts.extra=contrastive", "objective=alignment"], r"extra\.weight must be a number, got null"),
    ],
)
def test_a_sum_that_cannot_be_built_is_one_sentence(overrides: Sequence[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        combined(*overrides)


def shout(query: Query, seed: int, epoch: int, *, mark: str) -> str:
    return f"{query.text}{mark * epoch}"


def test_a_function_of_one_s_own_writes_twins_with_its_settings() -> None:
    twins = f"data.twins={{_target_: {__name__}.shout, mark: '!'}}"
    reword = entry.build_twins(entry.compose("train", ["plugins=[tests]", twins]))
    assert reword(Query("q", "?", "fi"), 7, 2) == "?!!"
    assert entry.build_twins(entry.compose("train", ["data.twins=questions:train"])) == "questions:train"
    with pytest.raises(UserError, match=r"there is no setting 'data\.twins\.marks'"):
        entry.build_twins(entry.compose("train", ["plugins=[tests]", twins.replace("mark:", "marks:")]))
