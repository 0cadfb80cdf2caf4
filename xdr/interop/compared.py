"""Systems to compare an evaluation with: those of earlier evaluations, and runs of other tools."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from xdr.data.passage_store import PassageStore
from xdr.errors import UserError
from xdr.evaluation.metric_names import OF_POOLS, Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Qrels, score_rankings
from xdr.reporting.evaluation_files import read_metrics
from xdr.retrieval.rankings import NO_PASSAGE, Rankings
from xdr.retrieval.trec_runs import read_run


def named_paths(compare_to: Sequence[str]) -> list[tuple[str, Path]]:
    """`NAME=PATH`, or PATH, whose name it then is."""
    named = []
    for item in compare_to:
        name, equals, path = item.rpartition("=")
        place = Path(path).expanduser()
        named.append((name if equals else place.stem if place.is_file() else place.name, place))
    return named


def compared_systems(
    compare_to: Sequence[str],
    runs: Mapping[str, Rankings],
    qrels: Qrels,
    metrics: Sequence[Metric],
    store: PassageStore,
) -> tuple[dict[str, PerQuery], list[str]]:
    """`NAME:SYSTEM` for the systems of a folder, `NAME:run` for a run (of `compared_runs`), and warnings."""
    found: dict[str, PerQuery] = {}
    warnings: list[str] = []
    for name, path in named_paths(compare_to):
        if path.is_file():
            systems = {"run": _scored(runs[name], path, qrels, metrics, store)}
            if missing := int((runs[name].rows_QK == NO_PASSAGE).all(axis=1).sum()):
                warnings.append(f"{name}:run ranks nothing for {missing:,} of {len(qrels.queries):,} queries")
        else:
            systems = read_metrics(path)
        for system, values in systems.items():
            if f"{name}:{system}" in found:
                raise UserError(f"compare_to has two systems called {name}:{system}. Name one: compare_to=['OTHER={path}']")
            found[f"{name}:{system}"] = values
    return found, warnings


def compared_runs(compare_to: Sequence[str], qrels: Qrels, store: PassageStore) -> dict[str, Rankings]:
    """The TREC runs by name. Where they rank fewer passages than for other queries, rows are `NO_PASSAGE`."""
    return {name: _read(path, qrels, store) for name, path in named_paths(compare_to) if path.is_file()}


def _read(path: Path, qrels: Qrels, store: PassageStore) -> Rankings:
    run = read_run(path)
    ranked = [run.get(query.query_id, {}) for query in qrels.queries]
    if not any(ranked):
        raise UserError(f"{path} must rank passages for these queries, got other query ids: {', '.join(list(run)[:3])}")
    shape = len(ranked), max(map(len, ranked))
    scores_QK, rows_QK = np.full(shape, -np.inf, np.float32), np.full(shape, NO_PASSAGE, np.int64)
    for query, scores in enumerate(ranked):
        rows_QK[query, : len(scores)] = store.require_rows(list(scores), str(path))
        scores_QK[query, : len(scores)] = list(scores.values())
    return Rankings(scores_QK, rows_QK)


def _scored(run: Rankings, path: Path, qrels: Qrels, metrics: Sequence[Metric], store: PassageStore) -> PerQuery:
    if unusable := [metric.name for metric in metrics if metric.measure in OF_POOLS]:
        raise UserError(f"evaluation.metrics must be of other kinds than {unusable[0]} with a run in compare_to ({path})")
    values, _ = score_rankings(qrels, {"run": run.rows_QK}, metrics, lambda row: store[row].text if row != NO_PASSAGE else "")
    return values["run"]
