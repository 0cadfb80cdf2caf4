"""The files of an evaluation's output folder: written here, and read again by later evaluations and sweeps."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xdr.comparison.noisy import LABELS, noisy_name
from xdr.comparison.robustness import Ratio, Robustness
from xdr.comparison.significance import Comparison
from xdr.errors import ArtefactError, UserError, first_line, in_one_sentence
from xdr.evaluation.coverage import Coverage
from xdr.evaluation.per_query import PerQuery, means
from xdr.storage.files import read_json, read_sealed, replacing_file, write_json, write_sealed
from xdr.storage.fingerprint import Json

PER_QUERY, ENVIRONMENT, ROBUSTNESS = "per_query.parquet", "environment.json", "robustness.json"
_COMPARISONS = "significance.json"
_REMEDY = "Run its evaluation again"
_COLUMNS = ("system", "query_id", "lang", "metric", "value")
_PACKAGES = ("torch", "lightning", "transformers", "faiss-cpu", "faiss-gpu", "nltk", "numpy", "scipy", "pyarrow")


def write_metrics(systems: Mapping[str, PerQuery], folder: Path) -> None:
    """Writes metrics.json, `{system: {metric: {language: value, ..., "macro": value}}}`, and per_query.parquet, a row for each
    value."""
    metrics: dict[str, Json] = {}
    columns: dict[str, list] = {name: [] for name in _COLUMNS}
    for system, values in systems.items():
        metrics[system] = {metric: means(values, metric).as_json() for metric in values.values}
        for metric, metric_values in values.values.items():
            number = len(values.query_ids)
            columns["system"] += [system] * number
            columns["query_id"] += values.query_ids
            columns["lang"] += values.languages
            columns["metric"] += [metric] * number
            columns["value"] += [None if np.isnan(value) else float(value) for value in metric_values]
    write_json(folder / "metrics.json", metrics)
    types = {"value": pa.float64()}
    table = pa.table({name: pa.array(column, types.get(name, pa.string())) for name, column in columns.items()})
    with replacing_file(folder / PER_QUERY) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def read_metrics(folder: Path, setting: str = "compare_to") -> dict[str, PerQuery]:
    """The values of each system of an earlier evaluation, which the setting names."""
    file = folder / PER_QUERY
    if not file.is_file():
        raise UserError(f"{setting} must be an evaluation's output folder, got {folder}. It has no {PER_QUERY}")
    languages: dict[str, dict[str, str]] = {}
    values: dict[str, dict[str, dict[str, float | None]]] = {}
    with in_one_sentence(lambda error: ArtefactError(f"{file} is damaged: {first_line(error)}. {_REMEDY}")):
        table = pq.read_table(file, page_checksum_verification=True)
        if table.schema.names != list(_COLUMNS) or not len(table):
            raise ValueError(f"its columns must be {', '.join(_COLUMNS)}")
        for row in table.to_pylist():
            languages.setdefault(row["system"], {})[row["query_id"]] = row["lang"]
            values.setdefault(row["system"], {}).setdefault(row["metric"], {})[row["query_id"]] = row["value"]
    return {system: _per_query(languages[system], values[system]) for system in languages}


def _per_query(languages: Mapping[str, str], values: Mapping[str, Mapping[str, float | None]]) -> PerQuery:
    """`values[metric][query_id]`; a query without a value becomes nan."""
    arrays = {
        metric: np.array([by_query.get(query_id) for query_id in languages], dtype=np.float64)
        for metric, by_query in values.items()
    }
    return PerQuery(tuple(languages), tuple(languages.values()), arrays)


def write_comparisons(comparisons: Sequence[Comparison], coverage: Coverage | None, folder: Path) -> None:
    """Writes significance.json. `coverage` is there where texts were generated for passages."""
    written: dict[str, Json] = {"comparisons": [comparison.as_json() for comparison in comparisons]}
    if coverage is not None:
        written["coverage"] = coverage.as_json()
    write_sealed(folder / _COMPARISONS, written)


def read_comparisons(folder: Path) -> list[dict[str, Any]]:
    """Those of an earlier evaluation, as they were written."""
    comparisons: Any = read_sealed(folder / _COMPARISONS, _REMEDY)["comparisons"]
    return list(comparisons)


def write_robustness(robustness: Robustness, folder: Path) -> None:
    """Writes robustness.json."""
    settings: dict[str, Json] = {
        "metric": robustness.metric,
        "baseline": robustness.baseline,
        "versions": robustness.num_versions,
    }
    systems: dict[str, Json] = {system: _robustness_of_system(robustness, system) for system in robustness.systems}
    write_json(folder / ROBUSTNESS, {**settings, "systems": systems})


def require_equal_noise(folders: Sequence[Path], noise: str) -> None:
    """Refuses earlier evaluations with other noise. Those without noise are welcome."""
    for name in folders:
        file = name / ENVIRONMENT
        other = read_json(file).get("noise") if file.is_file() else None
        if other not in (None, noise):
            raise UserError(
                f"compare_to must be evaluations with equal noise or none, got {name} with '{other}'. Here it is '{noise}'"
            )


def _robustness_of_system(robustness: Robustness, system: str) -> dict[str, Json]:
    written: dict[str, Json] = {"clean": dict(robustness.values[system])}
    for label in LABELS:
        written[label] = {
            "values": dict(robustness.values[noisy_name(system, label)]),
            "drop": _compared(robustness.drops[label][system]),
            "relative_drop": _ratio(robustness.relative[label][system]),
        }
    if system in robustness.recovered:
        written["recovered"] = _ratio(robustness.recovered[system])
        written["drop_beside_baseline"] = _compared(robustness.beside_baseline[system])
    if system in robustness.by_operator:
        written["drop_by_operator"] = _compared(robustness.by_operator[system])
    return written


def _compared(comparisons: Mapping[str, Comparison]) -> dict[str, Json]:
    """Without what their place in the file says."""
    said = ("metric", "baseline", "system", "language")
    return {
        group: {name: value for name, value in comparison.as_json().items() if name not in said}
        for group, comparison in comparisons.items()
    }


def _ratio(ratio: Ratio) -> dict[str, Json]:
    return {"value": ratio.value, "confidence_interval": list(ratio.confidence_interval) if ratio.confidence_interval else None}


def write_environment(facts: Mapping[str, Json], folder: Path) -> None:
    """Writes environment.json: versions, the code's commit, and `facts` such as fingerprints and the seed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = {"python": platform.python_version(), "platform": platform.platform()}
    write_json(folder / ENVIRONMENT, {**machine, "versions": versions, "commit": _commit(), **facts})


def _commit() -> str | None:
    """The commit of the code that ran, or None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
