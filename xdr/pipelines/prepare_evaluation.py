"""An evaluation's parts from its settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xdr.data.benchmark import Benchmark
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.evaluation.language_pools import PassageLanguages
from xdr.evaluation.metric_names import Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import qrels_of, usable
from xdr.evaluation.significance import Testing, require_same_queries
from xdr.generators.generated_source import import_generated, open_generated
from xdr.generators.generated_store import GeneratedStore
from xdr.pipelines.collection_summary import check_judgements
from xdr.pipelines.retrieval_task import BASELINE, Fusing, RetrievalTask, require_languages_of
from xdr.pipelines.shards import queries_as_sources
from xdr.reporting.evaluation_files import read_metrics
from xdr.retrieval.fusion import fusion_named, require_alphas
from xdr.retrieval.indexes import Flat, Hnsw, Index, Ivf
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Query


def index_of(search: Mapping[str, Any]) -> Index | None:
    if "lists" in search:
        return Ivf(search["lists"], search["probes"])
    if "links" in search:
        return Hnsw(search["links"], search["build_width"], search["search_width"])
    return Flat() if search.get("index") == "flat" else None


def fusing_of(augmentation: Mapping[str, Any], benchmark: Benchmark, store: PassageStore, artifacts_dir: Path) -> Fusing | None:
    """None for augmentation=none."""
    if "fusion" not in augmentation:
        return None
    alpha = augmentation["alpha"]
    given = alpha if isinstance(alpha, list) else [] if alpha is None else [alpha]
    try:
        fusion = fusion_named(augmentation["fusion"])
        alphas = require_alphas(fusion, given)
    except UserError as error:  # they begin with the parameter's name
        raise UserError(f"augmentation.{error}") from None
    generated = _generated(augmentation["source"], benchmark, store, artifacts_dir)
    languages = require_languages_of(generated, augmentation["languages"] or [])
    fusing = Fusing(fusion, alphas, generated, languages, augmentation["number"])
    if fusing.side == "queries" and augmentation["keep"] != "total":
        raise UserError(
            f"augmentation.keep={augmentation['keep']} is of sums beside passages, and these texts were written for queries; "
            "leave it out"
        )
    return fusing


def _generated(source: str | None, benchmark: Benchmark, store: PassageStore, artifacts_dir: Path) -> GeneratedStore:
    if source is not None:
        return open_generated(source, store, artifacts_dir)
    own = benchmark.generated_file()
    if own is None:
        raise UserError(
            "augmentation=generated_queries needs augmentation.source: a folder that stage=generate left, or files as xQG "
            "published them; this collection has no generated.jsonl of its own"
        )
    return import_generated([own], store, artifacts_dir, lambda number: None)


def retrieval_task(
    benchmark: Benchmark,
    store: PassageStore,
    ledger: ShardLedger,
    metrics: Sequence[Metric],
    wanted: Mapping[str, Any],
    depth: int,
    index: Index | None,
    fusing: Fusing | None,
    compare_to: Sequence[str],
) -> RetrievalTask:
    problems = Problems(strict=True)
    split = wanted["split"]
    queries = list(benchmark.queries(split, problems))
    if not queries:
        raise UserError(f"evaluation.split={split} has no queries")
    if fusing is not None and fusing.side == "queries":
        written = fusing.generated
        if written.made_by.get("sources") != queries_as_sources(queries).fingerprint:
            raise UserError(
                f"the passages in {written.folder} were written for other queries ({len(written):,}) than those of "
                f"evaluation.split={split} ({len(queries):,}); generate with augmentation.generation.split={split}"
            )
    judgements = check_judgements(benchmark, split, store, problems)
    qrels = qrels_of(queries, judgements, store.rows, PassageLanguages(*store.languages()))
    if index is not None:
        try:
            index.require_buildable(len(store))
        except UserError as error:
            raise UserError(f"search.index.{error}") from None
    asked, depth = depth, min(depth or len(store), len(store))
    kept, warnings = usable(metrics, qrels, depth)
    if asked > depth:
        warnings.append(f"search.depth is {asked:,}, and there are {depth:,} passages: all are ranked")
    return RetrievalTask(
        ledger,
        store,
        qrels,
        kept,
        depth,
        index,
        fusing,
        Testing(wanted["num_samples"], wanted["confidence"], wanted["seed"]),
        _comparable(earlier_systems(compare_to), queries, kept),
        tuple(warnings),
    )


def _comparable(systems: dict[str, PerQuery], queries: Sequence[Query], metrics: Sequence[Metric]) -> dict[str, PerQuery]:
    """Refused before anything is encoded, if not."""
    for name, values in systems.items():
        require_same_queries({query.query_id for query in queries}, set(values.query_ids), BASELINE, name)
        if missing := [metric.name for metric in metrics if metric.name not in values.values]:
            raise UserError(
                f"systems are compared by the same metrics, and {name} has no {missing[0]}; it has {', '.join(values.values)}. "
                "Set evaluation.metrics to what both have, or score it again"
            )
    return systems


def earlier_systems(folders: Sequence[str]) -> dict[str, PerQuery]:
    """`FOLDER:system` of each."""
    found: dict[str, PerQuery] = {}
    for name in folders:
        folder = Path(name).expanduser()
        for system, values in read_metrics(folder).items():
            key = f"{folder.name}:{system}"
            if key in found:
                raise UserError(f"compare_to names two folders called {folder.name}; rename one")
            found[key] = values
    return found
