"""The example that reads an evaluation's folder."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.documented_commands import ROOT
from xdr.comparison.significance import T_TEST, compare_systems
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import write_comparisons, write_metrics

VALUES = {
    "baseline": [1.0, 0.0, 0.0, 0.5, 1.0, 0.25],
    "mean-a0.1": [1.0, 1.0, 0.0, 1.0, 0.75, 0.5],
    "mean-a0.3": [1.0, 0.0, 0.0, 0.5, 0.75, 0.5],
}


def test_the_example_finds_the_mean_and_the_p_that_the_evaluation_wrote(tmp_path: Path) -> None:
    ids, languages = ("1", "2", "3", "4", "5", "6"), ("fi", "fi", "fi", "te", "te", "te")
    systems = {name: PerQuery(ids, languages, {"MRR@10": np.array(values)}) for name, values in VALUES.items()}
    generator = np.random.default_rng(1)
    comparisons = compare_systems(systems, "baseline", "MRR@10", num_samples=200, confidence=0.95, generator=generator)
    write_metrics(systems, tmp_path)
    write_comparisons(comparisons, None, tmp_path)
    command = [sys.executable, str(ROOT / "docs" / "read_a_run.py"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "mean-a0.1              66.7   75.0   70.8" in result.stdout  # two of three; (1 + .75 + .5) / 3
    assert "baseline, fi: mean of 3 queries 0.3333333333333333" in result.stdout
    assert "in metrics.json: 0.3333333333333333" in result.stdout
    found = float(result.stdout.partition("mean-a0.1 against baseline, fi: p ")[2].split()[0])
    assert found == pytest.approx(1 - 3**-0.5, abs=1e-12)  # differences 0, 1, 0: t = 1 with two degrees of freedom
    (ours,) = (each.p[T_TEST] for each in comparisons if (each.system, each.language) == ("mean-a0.1", "fi"))
    assert ours == pytest.approx(found, abs=1e-12)
    picture = ElementTree.parse(tmp_path / "alpha_curve.svg").getroot()
    assert len(picture.findall("{*}circle")) == 3
