"""A finished evaluation: what its folder, and the artifacts that the folder names, hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.collection_summary import check_judgements
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.encoders.encoder import Encoder
from xdr.encoders.fingerprints import fingerprint_encoder
from xdr.encoders.inference import prepared_for_inference
from xdr.encoders.input_format import EncoderOptions
from xdr.encoders.open_encoder import open_encoder
from xdr.errors import ArtefactError, UserError
from xdr.evaluation.language_pools import PassageLanguages
from xdr.evaluation.metric_names import headline_of
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Qrels, qrels_of
from xdr.explorer.scores import Scores
from xdr.reporting.evaluation_files import ENVIRONMENT, PER_QUERY, read_metrics
from xdr.storage.files import read_json
from xdr.storage.jobs import is_sweep
from xdr.tasks.settings import AugmentationSettings, EvaluationSettings
from xdr.tasks.systems import BASELINE
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.fusing import Fusing, require_languages_of
from xdr.vectors.fusion import fusion_named, require_alphas
from xdr.vectors.layout import Selection
from xdr.writing.generated_source import open_texts
from xdr.writing.generated_store import GeneratedStore


@dataclass(frozen=True)
class FinishedSettings:
    """The settings of the evaluation that its page needs. `locate` returns what a dotted path names."""

    benchmark: Benchmark
    checkpoint: str
    augmentation: AugmentationSettings | None
    evaluation: EvaluationSettings
    locate: Callable[[str], object]


@dataclass(frozen=True)
class Finished:
    """`fusing` is None where nothing is fused into the passages."""

    folder: Path
    store: PassageStore
    scores: Scores
    qrels: Qrels
    fusing: Fusing | None
    values: Mapping[str, PerQuery]
    headline: str
    remark: str
    load_encoder: Callable[[], Encoder]

    @property
    def alphas(self) -> dict[str, float | None]:
        """The evaluated systems that this page can compute, with their alphas."""
        if self.fusing is None:
            return {}
        of_systems = dict(zip(self.fusing.systems, self.fusing.alphas, strict=True))
        return {system: alpha for system, alpha in of_systems.items() if system in self.values}


def require_finished(folder: Path) -> None:
    """Refuses a folder that no evaluation has left. Cheap: reads nothing large."""
    if is_sweep(folder):
        raise UserError(
            f"OUTPUT_DIR must be the folder of one evaluation, got {folder}, a sweep. Give the folder of a job in it"
        )
    if missing := [name for name in (ENVIRONMENT, PER_QUERY) if not (folder / name).is_file()]:
        raise UserError(
            f"OUTPUT_DIR must be the output folder of a finished evaluation, got {folder}, which has no {missing[0]}. Run "
            "evaluate.py with stage=score first"
        )


def open_finished(folder: Path, settings: FinishedSettings) -> Finished:
    """Opens everything but the encoder. What is gone or was made from something else is refused by name."""
    require_finished(folder)
    values, remark = read_metrics(folder, "OUTPUT_DIR"), ""
    embeddings = EmbeddingStore.open(_vectors_of(folder))
    made_by, artifacts_dir = embeddings.ledger.made_by, embeddings.ledger.folder.parent.parent
    store = _collection(artifacts_dir / "collections", str(made_by["collection"]))
    fusing = _fusing(settings, store, artifacts_dir, str(made_by.get("generated")))
    if fusing is not None and fusing.side == "queries":
        fusing, remark = None, "This evaluation fuses passages into the queries, which this page does not show."
    if fusing is not None and fusing.generated.fingerprint != made_by.get("generated"):
        raise ArtefactError(
            f"the texts in {fusing.generated.folder} are not those of the evaluation in {folder}. Run the evaluation again"
        )
    problems, split = Problems(strict=True), settings.evaluation.split
    queries = list(settings.benchmark.queries(split, problems))
    if len(unknown := set(values[BASELINE].query_ids) - {query.query_id for query in queries}):
        raise ArtefactError(f"the data has no query '{min(unknown)}', which {folder} has. Run the evaluation again")
    judgements = check_judgements(settings.benchmark, split, store, problems)
    metrics = list(values[BASELINE].values)
    return Finished(
        folder,
        store,
        Scores(embeddings, fusing.fusion, _selection(embeddings, fusing)) if fusing else Scores(embeddings, None, None),
        qrels_of(queries, judgements, store.rows, PassageLanguages(*store.languages())),
        fusing,
        values,
        headline_of(metrics, settings.evaluation.headline),
        remark,
        lambda: _encoder(settings, embeddings),
    )


def _vectors_of(folder: Path) -> Path:
    vectors = Path(str(read_json(folder / ENVIRONMENT).get("embeddings")))
    if not vectors.is_dir():
        where = "" if vectors.is_absolute() else ", seen from the current folder"
        raise ArtefactError(
            f"the vectors of {folder} are gone: they were in {vectors}{where}. Start where the evaluation was started, or run "
            "the evaluation again, which makes them again"
        )
    return vectors


def _collection(collections: Path, fingerprint: str) -> PassageStore:
    for manifest in sorted(collections.glob("*/store.json")):
        if read_json(manifest).get("fingerprint") == fingerprint:
            return PassageStore(manifest.parent)
    raise ArtefactError(
        f"the passages of these vectors are gone: {collections} has no collection with the fingerprint {fingerprint}. Run the "
        "evaluation again"
    )


def _fusing(settings: FinishedSettings, store: PassageStore, artifacts_dir: Path, fingerprint: str) -> Fusing | None:
    wanted = settings.augmentation
    if wanted is None:
        return None
    fusion = fusion_named(wanted.fusion, settings.locate)
    imported = [file.parent for file in sorted((artifacts_dir / "generated").glob("*/manifest.json"))]
    found = [folder for folder in imported if read_json(folder / "manifest.json").get("fingerprint") == fingerprint]
    generated = GeneratedStore(found[0]) if found else open_texts(wanted.source, settings.benchmark, store, artifacts_dir)
    languages = require_languages_of(generated, wanted.languages or [])
    return Fusing(fusion, require_alphas(fusion, wanted.alphas), generated, languages, wanted.number)


def _selection(embeddings: EmbeddingStore, fusing: Fusing) -> Selection:
    keep = embeddings.layout.keep
    languages = None if keep == "total" else fusing.languages
    return embeddings.layout.select(languages, (fusing.number or None) if keep == "count" else None)


def _encoder(settings: FinishedSettings, embeddings: EmbeddingStore) -> Encoder:
    """In float32 on the CPU, whatever the evaluation used."""
    options = EncoderOptions(**{field.name: getattr(settings.evaluation, field.name) for field in fields(EncoderOptions)})
    queries, passages, tokenizer = open_encoder(settings.checkpoint, options)
    made_by = embeddings.ledger.made_by
    if fingerprint_encoder(queries, passages, tokenizer) != made_by["encoder"]:
        raise ArtefactError(
            f"checkpoint={settings.checkpoint} is no longer the encoder of the vectors in {embeddings.name}. Run the "
            "evaluation again"
        )
    queries = prepared_for_inference(queries)
    return Encoder(queries, queries, tokenizer, int(str(made_by["tokens_per_batch"])))
