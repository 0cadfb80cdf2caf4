"""stage=encode and stage=score: encode what is missing; then search, score, test and report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import lightning.pytorch as pl

from xdr.encoders.input_format import EncoderOptions
from xdr.encoders.open_encoder import open_encoder
from xdr.errors import UserError
from xdr.evaluation.metric_names import parse_metrics, require_headline
from xdr.interop.vector_set import VectorSet, write_vectors
from xdr.pipelines.plan_evaluation import plan_evaluation
from xdr.pipelines.prepare import collection_of
from xdr.sharding.encode import EncodingJob, EncodingSettings, sentences_job, shard_job
from xdr.sharding.progress import counting
from xdr.sharding.shard_module import make_shards
from xdr.storage.fingerprint import Json
from xdr.storage.ledger import ShardLedger
from xdr.tasks.retrieval_setup import fusing_of, retrieval_task
from xdr.tasks.retrieval_task import RetrievalTask
from xdr.tasks.settings import StageInputs, StageName
from xdr.training.run import silence_libraries
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import baseline_family, fused_family
from xdr.vectors.fusing import Fusing

CallbacksOf = Callable[[RetrievalTask, EncodingJob], Sequence[pl.Callback]]
"""The callbacks that search and report once the vectors are there."""


@dataclass(frozen=True)
class _Prepared:
    job: EncodingJob
    ledger: ShardLedger
    fusing: Fusing | None
    hyde: Fusing | None
    sentences: tuple[EncodingJob, ShardLedger] | None
    """Of a control."""


def encode(inputs: StageInputs) -> None:
    prepared = _prepare(inputs, "encode")
    job, ledger, trainer = prepared.job, prepared.ledger, dict(inputs.trainer)
    if inputs.plan:
        plan_evaluation(job, ledger, None, "", False, trainer, inputs.console, prepared.sentences)
        return
    start = time.perf_counter()
    with inputs.logging("encode") as logger:
        share = len(ledger.missing()) / ledger.num_shards
        _encode_sentences(prepared, trainer, inputs)
        make_shards(shard_job(job, ledger), trainer, inputs.console, inputs.engine)
        seconds = time.perf_counter() - start
        logger.log_metrics({"passages": len(job.store), "share encoded": share, "seconds": seconds})
        logger.save()
    inputs.console.print(f"Vectors: {ledger.folder}", markup=False, soft_wrap=True)


def export_vectors(inputs: StageInputs) -> None:
    """The vectors of one system, to wherever `inputs.vectors` puts them. Encodes what is missing."""
    if inputs.correction is not None or (inputs.augmentation is not None and inputs.augmentation.hyde is not None):
        raise UserError("vectors hold passages alone: leave out correction, which changes scores, and augmentation.hyde")
    prepared = _prepare(inputs, "export")
    job, ledger, fusing = prepared.job, prepared.ledger, prepared.fusing
    alphas = fusing.alphas if fusing is not None else (None,)
    if len(alphas) != 1:
        raise UserError(f"augmentation.alpha must be one number to export vectors with, got {', '.join(map(str, alphas))}")
    make_shards(shard_job(job, ledger), dict(inputs.trainer), inputs.console, inputs.engine)
    embeddings, family = EmbeddingStore.open(ledger.folder), baseline_family()
    if fusing is not None:
        family = fused_family(fusing.fusion, fusing.alphas, fusing.selection(embeddings.layout))
    about: dict[str, Json] = {
        "system": family.systems[0],
        "alpha": alphas[0],
        "languages": list(fusing.languages) if fusing is not None else [],
        **{name: value for name, value in ledger.made_by.items() if name != "layout"},
        "embeddings": ledger.fingerprint,
        "pooling": getattr(job.queries, "pooling", "mean"),
        "normalized": bool(job.queries.normalize),
        **asdict(job.tokenizer.input_format),
    }
    with counting("vectors", inputs.console, len(embeddings)) as progress:
        vectors = VectorSet(embeddings, family, job.store, about, inputs.search.index, progress)
        where = write_vectors(vectors, inputs.vectors, inputs.output_dir / "vectors")
    inputs.console.print(f"Vectors of {family.systems[0]}: {where}", markup=False, soft_wrap=True)


def score(inputs: StageInputs, callbacks_of: CallbacksOf) -> None:
    metrics, headline = parse_metrics(inputs.evaluation.metrics), require_headline(inputs.evaluation.headline)
    prepared = _prepare(inputs, "score")
    job, ledger, trainer = prepared.job, prepared.ledger, dict(inputs.trainer)
    sentences = prepared.sentences[1] if prepared.sentences else None
    task = retrieval_task(inputs, job.store, ledger, metrics, prepared.fusing, prepared.hyde, sentences)
    if inputs.plan:
        runs = inputs.evaluation.runs
        plan_evaluation(job, ledger, task, headline, runs, trainer, inputs.console, prepared.sentences)
        return
    with inputs.logging("evaluate") as logger:
        _encode_sentences(prepared, trainer, inputs)
        make_shards(shard_job(job, ledger), trainer, inputs.console, inputs.engine, callbacks_of(task, job), logger)


def _encode_sentences(prepared: _Prepared, trainer: dict[str, Any], inputs: StageInputs) -> None:
    if prepared.sentences:
        make_shards(shard_job(*prepared.sentences), trainer, inputs.console, inputs.engine)


def _prepare(inputs: StageInputs, stage: StageName) -> _Prepared:
    """The encoder comes before the collection: a wrong checkpoint is found before a long conversion."""
    checkpoint = inputs.require_checkpoint(stage, "an encoder")
    silence_libraries()
    options = EncoderOptions(**{field.name: getattr(inputs.evaluation, field.name) for field in fields(EncoderOptions)})
    queries, passages, tokenizer = open_encoder(checkpoint, options)
    store = collection_of(inputs)
    fusing, hyde = fusing_of(inputs, store)
    if fusing is not None:
        fusing.require_unit_texts(queries)
    if hyde is not None:
        hyde.require_unit_texts(passages or queries)
    settings = EncodingSettings(
        inputs.augmentation.keep if inputs.augmentation is not None and fusing is not None else "none",
        fusing.languages if fusing is not None else (),
        fusing.number if fusing is not None else 0,
        inputs.search.shard_size,
        inputs.search.tokens_per_batch,
    )
    job = EncodingJob(queries, passages, tokenizer, store, fusing.generated if fusing is not None else None, settings)
    artifacts, precision = inputs.artifacts_dir, str(inputs.trainer["precision"])
    sentences = None
    if fusing is not None and "own_sentences" in fusing.controls:
        of_sentences = sentences_job(job)
        sentences = of_sentences, of_sentences.ledger(artifacts, precision)
    return _Prepared(job, job.ledger(artifacts, precision), fusing, hyde, sentences)
