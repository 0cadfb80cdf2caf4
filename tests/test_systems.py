"""The four systems, and a fifth one that docs/systems.md composes of their parts by YAML alone."""

import re
from pathlib import Path

import pytest

from conf import entry
from conf.schema import BESIDE
from tests.forks import ROOT
from tests.test_experiments import EXPERIMENTS
from xdr.objectives.losses import Combined
from xdr.teaching.settings import LabelRules
from xdr.teaching.teachers import CrossEncoderTeacher

SYSTEMS = ("dr_decr", "quick", "cora", "sentri")


@pytest.fixture
def searched(tmp_path: Path) -> str:
    """A user's own folder with the two files of the document."""
    files = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "systems.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    (tmp_path / "experiment").mkdir()
    for name, text in zip(("fifth_mining", "fifth"), files, strict=True):
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    return f"hydra.searchpath=['file://{tmp_path}']"


def test_a_fifth_system_is_composed_of_parts_by_yaml_alone(searched: str) -> None:
    mining = entry.compose("evaluate", [searched, "experiment=fifth_mining"])
    teacher, rules = (entry.build(mining, name, *BESIDE[name]) for name in ("teacher", "mining"))
    assert (mining.stage, mining.evaluation.split) == ("mine", "train")
    assert isinstance(teacher, CrossEncoderTeacher) and teacher.path == "BAAI/bge-reranker-v2-m3"
    assert isinstance(rules, LabelRules) and (rules.answers, rules.quantile) == (True, 0.25)

    training = entry.compose("train", [searched, "experiment=fifth", "data.mined=FOLDER", "model.path=FOLDER"])
    objective = entry.build_objective(training)
    assert isinstance(objective, Combined) and objective._weights == {"contrastive": 1.0, "margins": 0.1}
    assert (training.data.batches.passages_per_query, training.model.query_prefix) == (2, "query: ")


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_has_experiments_on_both_benchmarks(system: str) -> None:
    own = [name for name in EXPERIMENTS if name.startswith(system)]
    assert {f"{system}_afriqa", f"{system}_xor_tydi"} <= set(own)
    stages = {entry.compose("evaluate", [f"experiment={name}"]).stage for name in own if name.endswith(("mining", "scores"))}
    assert stages == ({"mine", "teach"} if system == "dr_decr" else {"mine"})


def test_the_systems_differ_where_their_papers_do() -> None:
    cora, quick, align = (
        entry.compose("train", [f"experiment={name}"])
        for name in ("cora_xor_tydi", "quick_xor_tydi", "dr_decr_xor_tydi_alignment")
    )
    assert not cora.model.tied and cora.data.batches.passages_per_query == 2
    assert set(quick.objective.parts) == {"distillation", "alignment"} and quick.data.batches.twins_per_query == 1
    assert align.objective.teacher == "outputs/train/dr_decr_xor_tydi_teacher"
    agreed = entry.compose("evaluate", ["experiment=cora_xor_tydi_mining"]).mining
    alone = entry.compose("evaluate", ["experiment=sentri_xor_tydi_mining"])
    assert agreed.answers and agreed.quantile == 0.5 and alone.mining.answers and alone.teacher is None
