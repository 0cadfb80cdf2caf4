"""What an evaluation needs before it encodes: fusion, queries with qrels, metrics and systems to compare."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xdr.comparison.choosing import chosen_systems
from xdr.comparison.clusters import clusters_of
from xdr.comparison.significance import Testing, require_same_queries
from xdr.data.collection_summary import check_judgements
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import UserError, shown
from xdr.evaluation.language_pools import PassageLanguages
from xdr.evaluation.metric_names import Metric, headline_of
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import qrels_of, usable
from xdr.interop.compared import compared_runs, compared_systems, named_paths
from xdr.late_interaction.reranking import Reranking
from xdr.noise.noisy_queries import NoisyQueries
from xdr.noise.query_noise import QueryNoise
from xdr.reporting.evaluation_files import read_metrics, require_equal_noise
from xdr.sharding.progress import counting
from xdr.sharding.shards import queries_as_sources
from xdr.storage.ledger import ShardLedger
from xdr.tasks.correcting import correcting_of
from xdr.tasks.mixing import Mixing
from xdr.tasks.retrieval_task import RetrievalTask
from xdr.tasks.settings import AugmentationSettings, StageInputs
from xdr.tasks.systems import BASELINE
from xdr.text.records import Query
from xdr.vectors.fusing import Fusing, require_languages_of
from xdr.vectors.fusion import QUERIES, Alpha, Fusion, fusion_named, require_alphas
from xdr.writing.generated_source import open_generated, open_texts


def fusing_of(inputs: StageInputs, store: PassageStore) -> tuple[Fusing | None, Fusing | None]:
    """What is fused into the passages, and what into the queries."""
    augmentation = inputs.augmentation
    if augmentation is None:
        return None, None
    fusion, alphas = _formula(inputs, "", augmentation.fusion, augmentation.alphas)
    with counting("passages with generated texts", inputs.console, len(store)) as progress:
        generated = open_texts(augmentation.source, inputs.benchmark, store, inputs.artifacts_dir, progress)
    languages = require_languages_of(generated, augmentation.languages or [])
    fusing = Fusing(fusion, alphas, generated, languages, augmentation.number, tuple(augmentation.controls))
    if fusing.side == "queries":
        _require_passages_alone(augmentation)
        return None, fusing
    if "other_passages" in fusing.controls and len(store) % inputs.search.shard_size == 1:
        raise UserError(
            f"search.shard_size must leave no shard with one passage with the control other_passages, got "
            f"{inputs.search.shard_size:,} for {len(store):,} passages. Raise it by one"
        )
    if augmentation.hyde is None:
        return fusing, None
    hyde_fusion, hyde_alphas = _formula(inputs, "hyde_", augmentation.hyde_fusion, augmentation.hyde_alphas)
    written = open_generated(augmentation.hyde, store, inputs.artifacts_dir)
    hyde = Fusing(hyde_fusion, hyde_alphas, written, written.languages, augmentation.hyde_number, label=QUERIES)
    if hyde.side != "queries":
        raise UserError(
            f"augmentation.hyde must be passages generated for queries, got {augmentation.hyde}, queries generated for "
            "passages. Give these as augmentation.source"
        )
    return fusing, hyde


def _formula(inputs: StageInputs, prefix: str, name: str, alphas: Sequence[float]) -> tuple[Fusion, tuple[Alpha, ...]]:
    try:
        fusion = fusion_named(name, inputs.locate)
        return fusion, require_alphas(fusion, alphas)
    except UserError as error:  # its sentence begins with the parameter's name
        raise UserError(f"augmentation.{prefix}{error}") from None


def _require_passages_alone(augmentation: AugmentationSettings) -> None:
    """Of settings that are for the vectors of passages alone, which are stored."""
    for name, given, needed in (
        ("keep", augmentation.keep, "total"),
        ("controls", augmentation.controls, []),
        ("hyde", augmentation.hyde, None),
    ):
        if given != needed:
            raise UserError(
                f"augmentation.{name} must be {shown(needed)} with texts that were written for queries as augmentation.source, "
                f"got {shown(given)}"
            )


def retrieval_task(
    inputs: StageInputs,
    store: PassageStore,
    ledger: ShardLedger,
    metrics: Sequence[Metric],
    fusing: Fusing | None,
    hyde: Fusing | None,
    sentences: ShardLedger | None,
) -> RetrievalTask:
    """Everything that a search and its scores need. What cannot be scored is refused before anything is encoded."""
    wanted, benchmark, index = inputs.evaluation, inputs.benchmark, inputs.search.index
    problems = Problems(strict=True)
    split = wanted.split
    queries = list(benchmark.queries(split, problems))
    if not queries:
        raise UserError(f"evaluation.split must be a split with queries, got {split}")
    if hyde is not None:
        written = hyde.generated
        if written.made_by.get("sources") != queries_as_sources(queries).fingerprint:
            raise UserError(
                f"the passages in {written.folder} were generated for other queries ({len(written):,}) than those of "
                f"evaluation.split={split} ({len(queries):,}). Generate with augmentation.generation.split={split}"
            )
    clusters_of([query.query_id for query in queries], wanted.cluster)  # refuses a wrong pattern
    judgements = check_judgements(benchmark, split, store, problems)
    qrels = qrels_of(queries, judgements, store.rows, PassageLanguages(*store.languages()))
    if index is not None:
        try:
            index.require_buildable(len(store))
        except UserError as error:
            raise UserError(f"search.index.{error}") from None
    correcting = correcting_of(inputs, store, fusing)
    depth = min(inputs.search.depth or len(store), len(store))
    kept, warnings = usable(metrics, qrels, depth)
    if inputs.search.depth > depth:
        warnings.append(f"search.depth is {inputs.search.depth:,}, but there are {depth:,} passages: all of them are ranked")
    noisy = noisy_queries(inputs.noise, queries, hyde)
    if noisy is not None:
        require_equal_noise([path for _, path in named_paths(inputs.compare_to)], noisy.described())
    runs = compared_runs(inputs.compare_to, qrels, store)
    others, about_runs = compared_systems(inputs.compare_to, runs, qrels, kept, store)
    task = RetrievalTask(
        ledger,
        store,
        qrels,
        kept,
        headline_of([metric.name for metric in kept], wanted.headline),
        depth,
        index,
        fusing,
        hyde,
        Testing(wanted.num_samples, wanted.confidence, wanted.seed, wanted.cluster),
        _comparable(others, queries, kept),
        (*warnings, *about_runs),
        correcting,
        sentences=sentences,
        reranking=Reranking.by(wanted.rerank, wanted.rerank_all),
        noisy=noisy,
        mixing=Mixing.of(inputs.hybrid, runs, noisy),
    )
    if wanted.choose_from is None:
        return task
    chosen = _chosen(Path(wanted.choose_from).expanduser(), task, queries, kept, wanted.headline)
    return replace(task, chosen=chosen, chosen_in=wanted.choose_from)


def noisy_queries(noise: QueryNoise | None, queries: Sequence[Query], hyde: Fusing | None) -> NoisyQueries | None:
    if noise is not None and hyde is not None:
        raise UserError(
            "noise must be none with passages that were generated for queries: those of noisy queries would be other ones, and "
            "were not generated"
        )
    return None if noise is None else NoisyQueries.of(queries, noise)


def _chosen(
    folder: Path, task: RetrievalTask, queries: Sequence[Query], metrics: Sequence[Metric], headline: str
) -> tuple[str, ...]:
    """The systems to report, by the headline metric of the evaluation in `folder`."""
    there = read_metrics(folder, "evaluation.choose_from")
    if shared := {query.query_id for query in queries}.intersection(*(values.query_ids for values in there.values())):
        raise UserError(
            f"evaluation.choose_from must be an evaluation of other queries, got {folder}, which has {len(shared):,} of these. "
            "What is chosen on the queries that are reported makes figures too high"
        )
    return chosen_systems(tuple(task.systems.searched), there, headline_of([metric.name for metric in metrics], headline))


def _comparable(systems: dict[str, PerQuery], queries: Sequence[Query], metrics: Sequence[Metric]) -> dict[str, PerQuery]:
    """The systems, if they were scored on the same queries with the same metrics."""
    for name, values in systems.items():
        require_same_queries({query.query_id for query in queries}, set(values.query_ids), BASELINE, name)
        if missing := [metric.name for metric in metrics if metric.name not in values.values]:
            raise UserError(
                f"evaluation.metrics must be metrics of {name} ({', '.join(values.values)}), got {missing[0]}. Choose "
                "among those, or score that system again"
            )
    return systems
