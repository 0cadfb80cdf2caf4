"""What `python -m xdr.doctor` reports on a machine that lacks something."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from xdr.advisories import ADVISORIES
from xdr.doctor import Finding, examine, main

ROOT = Path(__file__).parents[1]


def about(findings: Iterable[Finding], subject: str) -> Finding:
    (finding,) = (finding for finding in findings if finding.subject == subject)
    return finding


def distribution(folder: Path, name: str, version: str = "1.0") -> None:
    """As pip writes it."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_this_machine_is_examined_without_loading_lightning() -> None:
    code = "import sys, xdr.doctor as d; print(d.main(['.', '--least-free', '0']), {'lightning', 'wandb'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 set()"
    assert "transformers" in result.stdout and "can be written to" in result.stdout


def test_two_packages_of_faiss_break_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "faiss-cpu")
    distribution(tmp_path, "faiss-gpu")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = about(examine(tmp_path, 0), "faiss")
    assert finding.broken
    assert finding.state == "faiss-cpu and faiss-gpu"
    assert "pip uninstall -y faiss-cpu faiss-gpu" in finding.remedy


def test_faiss_is_needed_by_some_searches_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdr.doctor.PACKAGES", ("faiss-of-nobody",))
    finding = about(examine(tmp_path, 0), "faiss")
    assert not finding.broken and "xdr[cpu]" in finding.remedy


def test_a_file_in_the_way_of_the_output_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("")
    finding = about(examine(tmp_path / "outputs" / "train", 0), str(tmp_path / "outputs" / "train"))
    assert finding.broken
    assert finding.state == f"{tmp_path / 'outputs'} is a file"
    assert "remove it, or set output_dir" in finding.remedy
    assert not list(tmp_path.glob("outputs/*"))


@pytest.mark.skipif(os.name != "posix" or not Path("/proc/self").is_dir(), reason="a folder nobody writes to is Linux's")
def test_a_folder_that_cannot_be_written_to_is_named() -> None:
    finding = about(examine(Path("/proc/self/outputs"), 0), "/proc/self/outputs")
    assert finding.broken and "cannot be written to" in finding.state and "chmod u+w" in finding.remedy


def test_a_disk_with_too_little_space_is_named_and_the_exit_code_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--least-free", "1e9"]) == 1
    output = capsys.readouterr().out
    assert "disk: 1,000,000,000.0 GB must be free. Free some space, or set output_dir to a larger disk" in output
    assert output.splitlines()[-1] == "broken: disk"


def test_an_nltk_whose_tokens_differ_from_those_of_published_figures_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "nltk", "3.9.3")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = about(examine(tmp_path, 0), "nltk")
    assert not finding.broken and "pip install 'nltk==3.9.2'" in finding.remedy


def test_a_version_with_a_known_hole_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [finding for finding in examine(tmp_path, 0) if "hole" in finding.state], "none is installed"
    distribution(tmp_path, "lightning", "2.6.3")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [finding for finding in examine(tmp_path, 0) if finding.subject == "lightning 2.6.3"]
    assert len(found) == 2 and all(finding.broken for finding in found)
    assert "malicious" in found[1].remedy and "pip install --upgrade lightning" in found[1].remedy


def test_xdr_allows_no_version_with_a_known_hole() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    allowed = {need.name.lower(): need.specifier for need in map(Requirement, needs)}
    for advisory in ADVISORIES:
        (least,) = (rule.version for rule in allowed[advisory.package] if rule.operator in (">=", "=="))
        assert not SpecifierSet(advisory.affected).contains(least), advisory


def test_a_package_that_is_missing_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdr.doctor.REQUIRED", ("torch", "of-nobody"))
    finding = about(examine(tmp_path, 0), "of-nobody")
    assert finding.broken and "pip install 'of-nobody'" in finding.remedy


def test_a_key_of_wandb_is_found_where_wandb_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert "wandb login" in about(examine(tmp_path, 0), "W&B").remedy
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    assert about(examine(tmp_path, 0), "W&B") == Finding("W&B", "a key is set")
