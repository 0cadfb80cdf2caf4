"""The example that compares systems of several seeds."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.documented_commands import ROOT
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import write_metrics


def evaluation(folder: Path, values: list[float]) -> str:
    ids = tuple(f"q{number}" for number in range(len(values)))
    folder.mkdir()
    write_metrics({"baseline": PerQuery(ids, ("fi",) * len(ids), {"recall@1": np.array(values)})}, folder)
    return str(folder)


def test_queries_are_compared_by_their_means_over_seeds(tmp_path: Path) -> None:
    plain = [evaluation(tmp_path / f"plain-{seed}", [0.0] * seed + [1.0] * (12 - seed)) for seed in (2, 4)]
    other = [evaluation(tmp_path / f"other-{seed}", [1.0] * 12) for seed in (2, 4)]
    command = ["recall@1", f"plain={','.join(plain)}", f"other={','.join(other)}"]
    output = subprocess.run(
        [sys.executable, "docs/compare_seeds.py", *command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert output[:2] == ["plain: recall@1 83.3, 66.7; mean 75.0", "other: recall@1 100.0, 100.0; mean 100.0"]
    assert output[2].startswith("other - plain: +25.0 (") and "p 0.1" in output[2], "two queries differ by 1, two by a half"
