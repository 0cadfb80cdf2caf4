"""Systems to compare an evaluation with: those of earlier evaluations, and runs of other tools."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdr.data.passage_store import PassageStore
from xdr.errors import UserError
from xdr.evaluation.metric_names import OF_POOLS, Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Qrels, score_rankings
from xdr.reporting.evaluation_files import read_metrics
from xdr.retrieval.trec_runs import read_run

NO_PASSAGE = -1
"""Fills the rankings of a run that are shorter than others."""


def named_paths(compare_to: Sequence[str]) -> list[tuple[str, Path]]:
    """`NAME=PATH`, or PATH, whose name it then is."""
    named = []
    for item in compare_to:
        name, equals, path = item.rpartition("=")
        place = Path(path).expanduser()
        named.append((name if equals else place.stem if place.is_file() else place.name, place))
    return named


def compared_systems(
    compare_to: Sequence[str], qrels: Qrels, metrics: Sequence[Metric], store: PassageStore
) -> tuple[dict[str, PerQuery], list[str]]:
    """`NAME:SYSTEM` for the systems of a folder, `NAME:run` for a run, and warnings."""
    found: dict[str, PerQuery] = {}
    warnings: list[str] = []
    for name, path in named_paths(compare_to):
        if path.is_file():
            values, missing = _scored_run(path, qrels, metrics, store)
            systems = {"run": values}
            if missing:
                warnings.append(f"{name}:run ranks nothing for {missing:,} of {len(qrels.queries):,} queries")
        else:
            systems = read_metrics(path)
        for system, values in systems.items():
            if f"{name}:{system}" in found:
                raise UserError(f"compare_to has two systems called {name}:{system}. Name one: compare_to=['OTHER={path}']")
            found[f"{name}:{system}"] = values
    return found, warnings


def _scored_run(path: Path, qrels: Qrels, metrics: Sequence[Metric], store: PassageStore) -> tuple[PerQuery, int]:
    """The values of a TREC run, and for how many queries it ranks nothing."""
    if unusable := [metric.name for metric in metrics if metric.measure in OF_POOLS]:
        raise UserError(f"evaluation.metrics must be of other kinds than {unusable[0]} with a run in compare_to ({path})")
    run = read_run(path)
    ranked = [list(run.get(query.query_id, {})) for query in qrels.queries]
    if not any(ranked):
        raise UserError(f"{path} must rank passages for these queries, got other query ids: {', '.join(list(run)[:3])}")
    rows_QK: NDArray[np.int64] = np.full((len(ranked), max(map(len, ranked))), NO_PASSAGE, np.int64)
    for query, passage_ids in enumerate(ranked):
        rows_QK[query, : len(passage_ids)] = store.require_rows(passage_ids, str(path))
    values, _ = score_rankings(qrels, {"run": rows_QK}, metrics, lambda row: store[row].text if row != NO_PASSAGE else "")
    return values["run"], sum(not passage_ids for passage_ids in ranked)
