"""The wheel, installed into an empty environment, outside the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import QUICK

ROOT = Path(__file__).parents[1]
TOP_LEVEL = "xdr/top_level"
OTHER_PROJECTS = ["callbacks", "conf", "evaluate", "train"]
"""Packages of the environment that have the names of ours."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with the installed hatchling: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("xdr-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel. A .pth file lends it the dependencies of the running one. Python reads no .pth file
    that stands in a lent folder, so the checkout, which one of them names, stays out of sight."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    assert (packages / TOP_LEVEL / "train.py").is_file()
    for name in OTHER_PROJECTS:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("OTHER_PROJECT = True")
    return folder


@pytest.fixture
def start(environment: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a program of the environment in an empty folder; returns what it printed."""

    def run(program: str, *arguments: str) -> str:
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
        command = [str(environment / "bin" / program), *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=280, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_the_wheel_holds_every_file_that_a_run_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = [ROOT / "train.py", ROOT / "evaluate.py"]
    files += [path for room in ("xdr", "hydra_plugins", "conf", "callbacks") for path in (ROOT / room).rglob("*.*")]
    needed = [path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"]
    assert len(needed) > 150
    packaged = [path if path.startswith(("xdr/", "hydra_plugins/")) else f"{TOP_LEVEL}/{path}" for path in needed]
    assert [path for path in packaged if path not in names] == []
    assert {"xdr/py.typed", f"{TOP_LEVEL}/train.py", f"{TOP_LEVEL}/conf/train.yaml"} <= names


def test_the_wheel_claims_no_module_name_that_another_project_may_have(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top_level = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"xdr", "hydra_plugins"}


def test_packages_of_other_projects_with_our_names_stay_importable(start: Callable[..., str]) -> None:
    program = f"import {', '.join(OTHER_PROJECTS)}, xdr; print({', '.join(f'{name}.OTHER_PROJECT' for name in OTHER_PROJECTS)})"
    assert start("python", "-c", program).split() == ["True"] * len(OTHER_PROJECTS)


def test_a_console_script_has_the_settings_of_the_script_in_the_checkout(start: Callable[..., str], tmp_path: Path) -> None:
    installed = start("xdr-train", "--cfg", "job")
    checkout = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "--cfg", "job"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "max_epochs" in installed
    assert "usage: xdr-explore" in start("xdr-explore", "--help")
    assert installed == checkout.stdout


def test_an_installed_user_prepares_the_sample_in_the_current_folder(start: Callable[..., str], tmp_path: Path) -> None:
    imported = start("python", "-c", "import xdr; print(xdr.__file__)")
    assert not Path(imported.strip()).is_relative_to(ROOT)
    start("xdr-evaluate", "experiment=sample", "stage=prepare")
    report = json.loads((tmp_path / "outputs" / "evaluate" / "sample" / "collection.json").read_text())
    assert report["passages"] == 144


@pytest.mark.slow
def test_two_processes_train_from_the_console_script(start: Callable[..., str], tmp_path: Path) -> None:
    """Lightning's DDP starts the second process by `sys.argv[0]`."""
    quick = [*QUICK, "trainer.max_epochs=1", "trainer.accelerator=cpu", "output_dir=trained"]
    start("xdr-train", *quick, "trainer.devices=2", "trainer.strategy=ddp")
    assert (tmp_path / "trained" / "encoder" / "model.safetensors").is_file()


@pytest.mark.parametrize("launcher", ["subprocess", "joblib", "submitit_local"])
def test_each_launcher_starts_jobs_from_the_console_script(launcher: str, start: Callable[..., str], tmp_path: Path) -> None:
    sweep = ["-m", "experiment=sample", "stage=prepare", "data.strict=true,false"]
    printed = start("xdr-evaluate", *sweep, f"hydra/launcher={launcher}", "output_dir=sweep")
    assert "2 jobs in sweep: 2 done" in printed
    assert len(list((tmp_path / "sweep").glob("*/collection.json"))) == 2


def test_console_scripts_name_functions_that_exist() -> None:
    from xdr import console

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"xdr-train", "xdr-evaluate", "xdr-explore"}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert module == "xdr.console"
        assert callable(getattr(console, function))
    assert console.script_folder("train.py") == ROOT
