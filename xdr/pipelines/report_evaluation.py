"""The result of an evaluation as files and as a report."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from xdr.evaluation.metric_names import headline_of
from xdr.evaluation.per_query import means
from xdr.evaluation.scoring import first_relevant_ranks
from xdr.reporting.evaluation_files import write_comparisons, write_environment, write_metrics, write_robustness
from xdr.reporting.report import FusedSystem, MovedQuery, Report, best_system, most_moved
from xdr.reporting.report_page import render_report
from xdr.retrieval.rankings import Rankings
from xdr.sharding.encode import EncodingJob
from xdr.storage.files import replacing_file
from xdr.storage.fingerprint import Json
from xdr.tasks.correcting import corrected_name
from xdr.tasks.retrieval_task import EvaluationResult, RetrievalTask
from xdr.tasks.systems import BASELINE, Role, on_both
from xdr.vectors.fusing import Fusing
from xdr.vectors.fusion import Alpha, system_name

NOISY_QUERIES = "noisy_queries.jsonl"
MOST_MOVED = 8
"""How many queries that rose are shown, and how many that fell."""


def write_answer(
    task: RetrievalTask, answer: EvaluationResult, job: EncodingJob, headline: str, runs: bool, output_dir: Path
) -> Report:
    """Writes all files of an evaluation. Where metrics.json exists, so do the files that are written before it."""
    report = report_of(task, answer, job, headline)
    if runs:
        task.write_runs(answer.rankings, output_dir / "runs")
    if task.noisy is not None:
        with replacing_file(output_dir / NOISY_QUERIES) as partial:
            partial.write_text("".join(f"{line}\n" for line in task.noisy.lines()), encoding="utf-8")
    if answer.robustness is not None:
        write_robustness(answer.robustness, output_dir)
    write_comparisons(answer.comparisons, report.coverage, output_dir)
    write_environment(_made_of(task, job), output_dir)
    write_metrics(answer.systems, output_dir)
    with replacing_file(output_dir / "report.html") as partial:
        partial.write_text(render_report(report), encoding="utf-8")
    return report


def report_of(task: RetrievalTask, answer: EvaluationResult, job: EncodingJob, headline: str) -> Report:
    metrics = tuple(metric.name for metric in task.metrics)
    headline = headline_of(metrics, headline)
    averages = {system: {metric: means(values, metric) for metric in metrics} for system, values in answer.systems.items()}
    roles: tuple[Role, ...] = ("augmented", "reranked", "hybrid", "control")
    own = next((systems for role in roles if (systems := task.systems.with_role(role))), ())
    best = best_system(own, averages, headline) if own else ""
    moved = _moved(task, answer.rankings, best) if best and task.qrels.has_judgements else []
    return Report(
        title="Retrieval evaluation",
        subtitle=_subtitle(task),
        systems=(BASELINE, *(system for system in answer.systems if system != BASELINE)),
        metrics=metrics,
        headline_metric=headline,
        means=averages,
        comparisons=answer.comparisons,
        fused=_fused(task),
        moved=moved,
        moved_system=best,
        depth=task.depth,
        warnings=answer.warnings,
        augmented=task.systems.with_role("augmented"),
        controls=task.systems.with_role("control"),
        noisy=[system for system, role in answer.roles.items() if role == "noisy"],
        coverage=task.coverage,
        robustness=answer.robustness,
        facts=[(name, str(value)) for name, value in _made_of(task, job).items() if value is not None],
    )


def _subtitle(task: RetrievalTask) -> str:
    over = f"{len(task.qrels.queries):,} queries over {len(task.store):,} passages"
    sentences = []
    if task.fusing is not None:
        sentences.append(f"Queries generated for a passage are fused into its vector by {task.fusing.fusion.name}.")
    if task.hyde is not None:
        sentences.append(f"Passages generated for a query are fused into its vector by {task.hyde.fusion.name}.")
    return ". ".join([over, " ".join(sentences)]) if sentences else over


def _fused(task: RetrievalTask) -> list[FusedSystem]:
    fused = [
        FusedSystem(corrected_name(name, label, BASELINE), family, alpha, label)
        for label in task.systems.labels
        for name, family, alpha in _with_alphas(task)
        if alpha is not None
    ]
    if task.fusing is not None:
        fused += [
            FusedSystem(system, task.fusing.fusion.name, alpha, control)
            for control in task.fusing.controls
            for system, alpha in zip(task.fusing.systems_of(control), task.fusing.alphas, strict=True)
            if alpha is not None
        ]
    return [system for system in fused if system.name in task.systems.roles]


def _with_alphas(task: RetrievalTask) -> Iterator[tuple[str, str, Alpha]]:
    """The fused systems, without corrections and controls. A family of systems with both sides fused has one query side."""
    for of_queries in task.systems.on_queries:
        if task.fusing is not None:
            suffix = "" if of_queries == BASELINE else f"+{of_queries}"
            for system, alpha in zip(task.fusing.systems, task.fusing.alphas, strict=True):
                yield on_both(system, of_queries), task.fusing.fusion.name + suffix, alpha
    if task.hyde is not None:
        for system, alpha in zip(task.hyde.systems, task.hyde.alphas, strict=True):
            yield system, system_name(task.hyde.fusion.name, None, task.hyde.label), alpha


def _moved(task: RetrievalTask, rankings: Mapping[str, Rankings], best: str) -> list[MovedQuery]:
    queries = {query.query_id: (place, query) for place, query in enumerate(task.qrels.queries)}
    before, after = (
        dict(zip(queries, first_relevant_ranks(task.qrels, rankings[system].rows_QK), strict=True))
        for system in (BASELINE, best)
    )
    risen, fallen = most_moved(before, after, task.depth, MOST_MOVED)
    moved = []
    for query_id in (*risen, *fallen):
        place, query = queries[query_id]
        row = next(row for row, relevance in task.qrels.relevance[place].items() if relevance > 0)
        passage = task.store[row]
        moved.append(
            MovedQuery(
                query_id,
                query.language,
                query.text,
                passage.title,
                passage.text,
                before[query_id],
                after[query_id],
                _generated(task.fusing, row),
                _generated(task.hyde, place),
            )
        )
    return moved


def _generated(fusing: Fusing | None, row: int) -> dict[str, tuple[str, ...]]:
    """The texts by language that were fused into the vector of this row."""
    if fusing is None:
        return {}
    texts = next(fusing.generated.slice(row, row + 1)).texts
    most = fusing.number or None
    return {code: texts[code][:most] for code in fusing.languages if texts.get(code)}


def _texts(fusing: Fusing | None) -> str | None:
    if fusing is None:
        return None
    return f"{fusing.generated.fingerprint}, {fusing.number or 'all'} of each language: {' '.join(fusing.languages)}"


def _corrected_by(task: RetrievalTask) -> dict[str, Json]:
    if task.correcting is None:
        return {}
    bank, made_by = task.correcting.bank, task.correcting.correction.made_by()
    settings = ", ".join(f"{name} {value}" for name, value in made_by.items() if name != "name")
    return {
        "correction": f"{made_by['name']} ({settings})",
        "bank of the correction": f"{len(bank.texts):,} texts, {bank.source}, {bank.fingerprint}",
    }


def _made_of(task: RetrievalTask, job: EncodingJob) -> dict[str, Json]:
    """Fingerprints of what the figures depend on."""
    made_by = task.ledger.made_by
    return {
        "encoder": made_by["encoder"],
        "collection": made_by["collection"],
        "generated queries in passages": _texts(task.fusing),
        "generated passages in queries": _texts(task.hyde),
        "controls": " ".join(task.fusing.controls) or None if task.fusing is not None else None,
        **_corrected_by(task),
        "noise": task.noisy.described() if task.noisy else None,
        "systems chosen in": task.chosen_in,
        "reranked by": task.reranking.described if task.reranking else None,
        "embeddings": str(task.ledger.folder),
        "pooling": getattr(job.queries, "pooling", "mean"),
        "normalized": job.queries.normalize,
        "dimension": job.layout().dimension,
        **{name.replace("_", " "): value for name, value in asdict(job.tokenizer.input_format).items()},
        "precision": made_by["precision"],
        "search": "exact" if task.index is None else repr(task.index),
        "depth": task.depth,
        "samples of each test": task.testing.num_samples,
        "seed": task.testing.seed,
    }
