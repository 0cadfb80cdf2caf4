"""The YAML file of each benchmark."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object

FOLDER = Path(__file__).parents[2] / "conf" / "data"


def read_settings(name: str) -> dict[str, Any]:
    """With those of the file that it names in its defaults."""
    values: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    parents = [parent for parent in values.pop("defaults", []) if parent != "_self_"]
    return {key: value for parent in parents for key, value in read_settings(parent).items()} | values


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.yaml")))
def test_the_file_of_a_benchmark_names_its_settings_and_says_which_files_it_reads(name: str) -> None:
    settings = read_settings(name)
    parameters = set(inspect.signature(get_object(settings.pop("_target_"))).parameters)
    beside = {"weights", "pool"} if name == "mixture" else set()
    assert set(settings) <= parameters and parameters - set(settings) <= beside
    assert (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")
