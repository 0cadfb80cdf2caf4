"""The types of all settings. Misspelt keys and wrong types are found against these before anything heavy is loaded.

Values stand in the YAML files; types of a benchmark's settings are those of its class, which is their one home.
"""

from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, dataclass, fields, make_dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from xdr.data.afriqa import AfriQa
from xdr.data.collection_folder import CollectionFolder
from xdr.data.dpr_nq import DprNaturalQuestions
from xdr.data.sample import Sample
from xdr.data.swim_ir import SwimIr
from xdr.data.tevatron import TevatronFiles
from xdr.data.xor_tydi import XorTydi
from xdr.data.xquad_r import XquadR


class Stage(Enum):
    """What evaluate.py does."""

    prepare = "prepare"
    generate = "generate"
    encode = "encode"
    score = "score"
    export = "export"
    sweep = "sweep"


class Order(Enum):
    mixed = "mixed"
    monolingual = "monolingual"
    cross_lingual = "cross_lingual"
    hybrid = "hybrid"


class PoolingConf(Enum):
    first = "first"
    mean = "mean"


class BatchingConf(Enum):
    packed = "packed"
    grouped = "grouped"
    padded = "padded"


@dataclass
class Batches:
    """Of train.py. `size` counts the queries of all processes together."""

    size: int = MISSING
    passages_per_query: int = MISSING
    order: Order = MISSING
    monolingual_share: float = MISSING
    language_weights: Any = None  # language code -> number
    num_workers: int = MISSING


@dataclass
class ReadingConf:
    query_length: int = MISSING
    passage_length: int = MISSING
    query_prefix: str = MISSING
    passage_prefix: str = MISSING


@dataclass
class ObjectiveConf:
    scale: float = MISSING
    learn_scale: bool = MISSING
    both_directions: bool = MISSING
    chunk_size: int = MISSING


@dataclass
class OptimizerConf:
    learning_rate: float = MISSING
    weight_decay: float = MISSING
    warmup_share: float = MISSING


@dataclass
class Model:
    _target_: str = MISSING
    reading: ReadingConf = MISSING
    objective: ObjectiveConf = MISSING
    optimizer: OptimizerConf = MISSING
    normalize: bool = MISSING


@dataclass
class TransformerModel(Model):
    path: str = MISSING
    pooling: PoolingConf = MISSING
    tied: bool = MISSING
    batching: BatchingConf = MISSING
    dtype: str = MISSING
    lora_rank: int = MISSING
    gradient_checkpointing: bool = MISSING
    compile_backbone: bool = MISSING


@dataclass
class StaticModel(Model):
    path: str = MISSING


@dataclass
class SmallModel(Model):
    family: str = MISSING
    hidden: int = MISSING
    layers: int = MISSING
    dropout: float = MISSING
    pooling: PoolingConf = MISSING


class DirectionConf(Enum):
    query_from_passage = "query_from_passage"
    passage_from_query = "passage_from_query"


class LanguageAtConf(Enum):
    prompt = "prompt"
    decoder = "decoder"


class VocabularyConf(Enum):
    full = "full"
    language = "language"


class OptimizerName(Enum):
    adamw = "adamw"
    adafactor = "adafactor"


@dataclass
class PromptReadingConf:
    input_length: int = MISSING
    output_length: int = MISSING


@dataclass
class WritingOptimizerConf(OptimizerConf):
    name: OptimizerName = MISSING
    label_smoothing: float = MISSING


@dataclass
class AnyGeneratorModel:
    _target_: str = MISSING
    direction: DirectionConf = MISSING
    language_at: LanguageAtConf = MISSING
    reading: PromptReadingConf = MISSING
    optimizer: WritingOptimizerConf = MISSING


@dataclass
class GeneratorModel(AnyGeneratorModel):
    path: str = MISSING
    gradient_checkpointing: bool = MISSING


@dataclass
class SmallGeneratorModel(AnyGeneratorModel):
    hidden: int = MISSING
    layers: int = MISSING


@dataclass
class InferenceTrainer:
    """What Lightning's Trainer takes."""

    accelerator: str = MISSING
    devices: Any = MISSING
    num_nodes: int = MISSING
    strategy: str = MISSING
    precision: str = MISSING
    enable_progress_bar: bool = MISSING


@dataclass
class TrainingTrainer(InferenceTrainer):
    max_epochs: int = MISSING
    max_steps: int = MISSING
    gradient_clip_val: float | None = None
    accumulate_grad_batches: int = MISSING
    check_val_every_n_epoch: int | None = MISSING
    val_check_interval: Any = MISSING
    log_every_n_steps: int = MISSING


@dataclass
class CheckpointConf:
    every_num_steps: int = MISSING
    keep: int = MISSING


@dataclass
class ValidationConf:
    largest_pool: int = MISSING
    monitor: str = MISSING


@dataclass
class RetrieverCallbacks:
    checkpoints: CheckpointConf = MISSING
    validation: ValidationConf = MISSING


@dataclass
class SamplingConf:
    top_k: int = MISSING
    top_p: float = MISSING
    temperature: float = MISSING
    vocabulary: VocabularyConf = MISSING
    latin: bool = MISSING


@dataclass
class WritingValidationConf(SamplingConf):
    largest_dev: int = MISSING
    monitor: str = MISSING
    num_sampled: int = MISSING
    round_trip: str | None = None


@dataclass
class GeneratorCallbacks:
    checkpoints: CheckpointConf = MISSING
    validation: WritingValidationConf = MISSING


class BackendConf(Enum):
    huggingface = "huggingface"
    ctranslate2 = "ctranslate2"


class ReasonConf(Enum):
    empty = "empty"
    wrong_language = "wrong_language"
    repeated = "repeated"
    copied = "copied"
    over_long = "over_long"


@dataclass
class GenerationConf(SamplingConf):
    languages: list[str] = MISSING
    number: int = MISSING
    input_length: int = MISSING
    output_length: int = MISSING
    refuse: list[ReasonConf] = MISSING
    regenerate: int = MISSING
    backend: BackendConf = MISSING
    compute_type: str = MISSING
    split: str = MISSING
    direction: DirectionConf = MISSING
    language_at: LanguageAtConf = MISSING
    tokens_per_batch: int = MISSING
    shard_size: int = MISSING
    probe: int = MISSING
    seed: int = MISSING


@dataclass
class NoAugmentation:
    pass


class FusionConf(Enum):
    sum = "sum"
    mean = "mean"
    unit_mean = "unit_mean"
    hyde_mean = "hyde_mean"


class KeepConf(Enum):
    total = "total"
    language = "language"
    count = "count"


@dataclass
class GeneratedQueries:
    source: str | None = None
    fusion: FusionConf = MISSING
    alpha: Any = MISSING
    languages: list[str] | None = None
    number: int = MISSING
    keep: KeepConf = MISSING
    export: str | None = None
    generation: GenerationConf = MISSING


class Logger(Enum):
    wandb = "wandb"
    offline = "offline"
    tensorboard = "tensorboard"
    csv = "csv"


@dataclass
class Wandb:
    project: str = MISSING
    group: str | None = None
    name: str | None = None
    tags: list[str] = MISSING
    artifacts: bool = MISSING


@dataclass
class ExactSearch:
    depth: int = MISSING
    shard_size: int = MISSING
    tokens_per_batch: int = MISSING


@dataclass
class FaissFlat(ExactSearch):
    index: str = MISSING


@dataclass
class FaissIvf(ExactSearch):
    lists: int = MISSING
    probes: int = MISSING


@dataclass
class FaissHnsw(ExactSearch):
    links: int = MISSING
    build_width: int = MISSING
    search_width: int = MISSING


@dataclass
class EvaluationSettings:
    split: str = MISSING
    metrics: list[str] = MISSING
    headline: str = MISSING
    num_samples: int = MISSING
    confidence: float = MISSING
    seed: int = MISSING
    runs: bool = MISSING
    pooling: PoolingConf | None = None
    normalize: bool | None = None
    query_length: int | None = None
    passage_length: int | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None


@dataclass
class SweepConf:
    metric: str | None = None
    baseline: str = MISSING
    repeated: list[str] = MISSING


@dataclass
class Train:
    data: Any = MISSING
    model: Any = MISSING
    trainer: Any = MISSING
    callbacks: Any = MISSING
    logger: Logger = MISSING
    wandb: Wandb = MISSING
    seed: int = MISSING
    resume: str = MISSING
    plan: bool = MISSING
    retry: bool = MISSING
    output_dir: str = MISSING


@dataclass
class Evaluate:
    stage: Stage = MISSING
    data: Any = MISSING
    checkpoint: str | None = None
    augmentation: Any = MISSING
    search: Any = MISSING
    evaluation: EvaluationSettings = MISSING
    trainer: InferenceTrainer = MISSING
    compare_to: list[str] = MISSING
    sweep: SweepConf = MISSING
    logger: Logger = MISSING
    plan: bool = MISSING
    retry: bool = MISSING
    wandb: Wandb = MISSING
    output_dir: str = MISSING
    artifacts_dir: str = MISSING


BENCHMARKS = (AfriQa, CollectionFolder, DprNaturalQuestions, Sample, SwimIr, TevatronFiles, XorTydi, XquadR)


@dataclass
class MixtureConf:
    """`parts`: {NAME: {data: BENCHMARK, weight: NUMBER, and the benchmark's own settings}, ...}"""

    _target_: str = MISSING
    strict: bool = True
    negatives: str | None = None
    batches: Any = None
    parts: Any = MISSING


def register() -> None:
    store = ConfigStore.instance()
    store.store(name="train_schema", node=Train)
    store.store(name="evaluate_schema", node=Evaluate)
    store.store(group="batches/schema", name="Batches", node=Batches)
    for group, schemas in (
        ("model", (TransformerModel, StaticModel, SmallModel, GeneratorModel, SmallGeneratorModel)),
        ("callbacks", (RetrieverCallbacks, GeneratorCallbacks)),
        ("trainer", (TrainingTrainer, InferenceTrainer)),
        ("augmentation", (NoAugmentation, GeneratedQueries)),
        ("search", (ExactSearch, FaissFlat, FaissIvf, FaissHnsw)),
        ("evaluation", (EvaluationSettings,)),
        ("wandb", (Wandb,)),
    ):
        for schema in schemas:
            store.store(group=f"{group}/schema", name=schema.__name__, node=schema)
    store.store(group="data/schema", name="Mixture", node=MixtureConf)
    for benchmark in BENCHMARKS:
        store.store(group="data/schema", name=benchmark.__name__, node=_schema_of(benchmark))


COMMON = (("strict", bool, True), ("negatives", str | None, None), ("batches", Any, None))
"""Settings beside a benchmark's own; the last two are train.py's."""


def _schema_of(benchmark: type) -> type:
    own = [(field.name, _setting_type(field), MISSING) for field in fields(benchmark)]
    assert all(field.default is NO_DEFAULT or field.init for field in fields(benchmark))
    return make_dataclass(benchmark.__name__, [("_target_", str, MISSING), *COMMON, *own])


def _setting_type(field: Field) -> Any:
    """Tuples are lists in YAML."""
    return list[str] if field.type == tuple[str, ...] else field.type
