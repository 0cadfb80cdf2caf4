"""Settings of evaluate.py's stages: names, types and rules, without torch. Values are in conf/."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xdr.data.benchmark import Split
from xdr.data.problems import Problems
from xdr.errors import UserError, shown
from xdr.evaluation.metric_names import parse_metrics, require_headline
from xdr.generators.settings import Vocabulary
from xdr.noise.query_noise import QueryNoise
from xdr.storage.model_folders import require_model_name
from xdr.teaching.settings import ListSettings
from xdr.text.prompts import Direction, LanguageAt
from xdr.vectors.fusion import ControlName
from xdr.writing.quality import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from lightning.pytorch.loggers import Logger
    from rich.console import Console

    from xdr.sharding.engine import Engine


StageName = Literal["prepare", "generate", "export", "encode", "score", "teach", "mine", "sweep", "publish", "verify"]
PLANNED_STAGES = ("generate", "encode", "score", "teach")
SHARED_STAGES = (*PLANNED_STAGES, "mine")
"""Of which a cluster can do the work."""


@dataclass(frozen=True)
class GenerationOptions:
    """Of stage=generate; `conf/augmentation/generated_queries.yaml` explains each."""

    languages: Sequence[str]
    number: int
    top_k: int
    top_p: float
    temperature: float
    input_length: int
    output_length: int
    vocabulary: Vocabulary
    latin: bool
    refuse: Sequence[Reason]
    regenerate: int
    backend: Any
    prompt: Any
    split: Split
    direction: Direction
    language_at: LanguageAt
    tokens_per_batch: int
    shard_size: int
    probe: int
    seed: int


@dataclass(frozen=True)
class AugmentationSettings:
    """Which generated texts are fused, and how."""

    source: str | None
    fusion: str
    alpha: float | list[float] | None
    languages: list[str] | None
    number: int
    keep: Literal["total", "language", "count"]
    controls: list[ControlName]
    hyde: str | None
    hyde_fusion: str
    hyde_alpha: float | list[float] | None
    hyde_number: int
    export: str | None
    export_split: Split | None
    generation: GenerationOptions

    def __post_init__(self) -> None:
        for name, number in (("number", self.number), ("hyde_number", self.hyde_number)):
            if number < 0:
                raise UserError(f"augmentation.{name} must be at least 0 (0: all texts), got {number}")
        if len(set(self.controls)) < len(self.controls):
            raise UserError(f"augmentation.controls must name each control once, got {shown(self.controls)}")
        if "mean_text_by_language" in self.controls and self.keep == "total":
            raise UserError(
                "augmentation.keep must be language or count with the control mean_text_by_language, got total: one sum of all "
                "texts does not say which language had which part"
            )

    @property
    def alphas(self) -> list[float]:
        return _as_list(self.alpha)

    @property
    def hyde_alphas(self) -> list[float]:
        return _as_list(self.hyde_alpha)


@dataclass(frozen=True)
class SearchSettings:
    """How passages are encoded and searched. `index` is None for exact search, else a class of xdr.retrieval's kind."""

    depth: int
    shard_size: int
    tokens_per_batch: int
    index: Any

    def __post_init__(self) -> None:
        for name, least in (("depth", 0), ("shard_size", 1), ("tokens_per_batch", 1)):
            if getattr(self, name) < least:
                raise UserError(f"search.{name} must be at least {least}, got {getattr(self, name)}")
        if isinstance(self.index, str | int | float | list):
            raise UserError(f"search.index must be null or settings with a _target_, got {shown(self.index)}")


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured. The encoder's settings, from `pooling` on, are None where the checkpoint decides."""

    split: Split
    metrics: list[str]
    headline: str
    num_samples: int
    confidence: float
    seed: int
    cluster: str | None
    choose_from: str | None
    rerank: str | None
    rerank_all: bool
    runs: bool
    pooling: str | None
    normalize: bool | None
    query_length: int | None
    passage_length: int | None
    query_prefix: str | None
    passage_prefix: str | None
    truncate_dim: int | None
    end_token: bool | None

    def __post_init__(self) -> None:
        parse_metrics(self.metrics)
        require_headline(self.headline)


@dataclass(frozen=True)
class StageInputs:
    """What a stage works on, and where it leaves its results. `benchmark` is an `xdr.data.benchmark.Benchmark`, or None for
    stage=sweep and stage=verify, which read no data. `correction` is an `xdr.vectors.corrections.Correction` or None,
    and `hybrid` an `xdr.retrieval.hybrid.Hybrid` or None.
    `teacher` is an `xdr.teaching.teacher.TeacherSettings` or None, and scores `lists`. `vectors` is an
    `xdr.interop.vector_set.VectorTarget` or None, to which stage=export writes.

    `logging` opens the logger of a kind of job. `locate` returns what a dotted path names."""

    benchmark: Any
    strict: bool
    verify: bool
    checkpoint: str | None
    augmentation: AugmentationSettings | None
    search: SearchSettings
    correction: Any
    hybrid: Any
    noise: QueryNoise | None
    vectors: Any
    teacher: Any
    lists: ListSettings | None
    evaluation: EvaluationSettings
    compare_to: Sequence[str]
    trainer: "Mapping[str, Any]"
    engine: "Engine"
    plan: bool
    output_dir: Path
    artifacts_dir: Path
    console: "Console"
    logging: "Callable[[str], AbstractContextManager[Logger]]"
    locate: "Callable[[str], object]"

    def problems(self) -> Problems:
        return Problems(self.strict, self.verify)

    def require_checkpoint(self, stage: StageName, model: str) -> str:
        if self.checkpoint is None:
            raise UserError(f"stage={stage} needs {model}: checkpoint=FOLDER, a checkpoint of train.py, or a hub name")
        require_model_name("checkpoint", self.checkpoint)
        return self.checkpoint

    def require_augmentation(self, stage: StageName) -> AugmentationSettings:
        if self.augmentation is None:
            raise UserError(f"stage={stage} needs augmentation=generated_queries")
        return self.augmentation


def _as_list(alpha: float | list[float] | None) -> list[float]:
    return alpha if isinstance(alpha, list) else [] if alpha is None else [alpha]
