"""All experiments and models compose, and their settings are those of the classes that they name."""

import inspect

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from conf import entry
from conf.schema import BESIDE
from tests.forks import ROOT
from xdr.errors import UserError

EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))


@pytest.mark.usefixtures("compose_once")
def test_every_experiment_composes_and_binds() -> None:
    assert EXPERIMENTS
    for name in EXPERIMENTS:
        for script in scripts_of(name):
            settings = entry.compose(script, [f"experiment={name}"])
            assert binds(settings.data, *BESIDE["data"])
            if script == "train":
                assert binds(settings.model, *BESIDE["model"]) and binds(settings.objective)
                assert all(binds(node) for node in settings.callbacks.values() if node is not None)
            elif settings.stage == "generate":
                assert settings.augmentation.generation.number > 0


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")))
def test_every_model_composes_and_its_settings_are_accepted(name: str) -> None:
    settings = entry.compose("train", [f"model={name}", *(["model.path=FOLDER"] if name == "static" else [])])
    hydra.utils.instantiate({key: value for key, value in settings.model.items() if key not in BESIDE["model"]})


def test_an_experiment_that_a_choice_contradicts_is_named() -> None:
    with pytest.raises(UserError, match=r"augmentation\.fusion is set, but augmentation is none"):
        entry.compose("evaluate", ["experiment=afriqa_evaluation", "augmentation=none"])


def scripts_of(experiment: str) -> list[str]:
    """The commands that an experiment's own comment shows."""
    text = (ROOT / "conf" / "experiment" / f"{experiment}.yaml").read_text()
    scripts = [script for script in ("train", "evaluate") if f"python {script}.py experiment={experiment}" in text]
    assert scripts, f"{experiment} shows no command"
    return scripts


def binds(settings: DictConfig, *without: str) -> bool:
    """Whether the class or function that `_target_` names takes the settings of this node."""
    values = OmegaConf.to_container(settings)
    assert isinstance(values, dict)
    signature = inspect.signature(hydra.utils.get_object(values.pop("_target_")))
    signature.bind_partial(**{key: value for key, value in values.items() if key not in (*without, "_partial_")})
    return True


def test_every_experiment_says_what_it_reproduces_first() -> None:
    for name in EXPERIMENTS:
        lines = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text().splitlines()
        assert lines[0] == "# @package _global_"
        assert lines[1].startswith("# ")
