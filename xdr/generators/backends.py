"""Settings of the backends that sample texts, and what a backend does. Importing them does not import torch.

A new backend is a class with `made_by` and `open`, in any package that the setting `plugins` lists, and a YAML file in
conf/augmentation/generation/backend/ whose `_target_` names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

from xdr.errors import UserError
from xdr.generators.settings import Sampling
from xdr.storage.fingerprint import Json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from xdr.encoders.texts import Texts
    from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator

ComputeType = Literal["float32", "int8", "float16", "bfloat16", "int8_float16"]


class Drawn(NamedTuple):
    """The tokens of a text without the end token, and whether the generator wrote the end token."""

    ids: list[int]
    ended: bool


class Backend(Protocol):
    """Samples texts. They depend on the seed and on the calls since `begin`, on nothing else."""

    def begin(self, seed: int) -> None: ...

    def encode(self, sources: "Texts") -> Any:
        """Prompts, encoded once for all texts and languages that `decode` is asked for."""
        ...

    @property
    def one_language(self) -> bool:
        """Whether each call of `decode` must ask for a single language."""
        ...

    def decode(self, encoded: Any, rows: "Tensor", languages: Sequence[str], number: int) -> list[list[Drawn]]:
        """`number` texts for each row of the encoded prompts, in the language at the same place of `languages`."""
        ...


@dataclass(frozen=True)
class BackendParts:
    """What a backend samples with. `artifacts_dir` is for what it makes of the generator, named by `generator_fingerprint`."""

    generator: "QueryGenerator"
    tokenizer: "GeneratorTokenizer"
    sampling: Sampling
    artifacts_dir: Path
    generator_fingerprint: str
    device: "torch.device"


class BackendSettings(Protocol):
    def made_by(self, precision: str) -> dict[str, Json]:
        """What the texts depend on, for their fingerprint. `precision` is the trainer's."""
        ...

    def open(self, parts: BackendParts) -> Backend: ...


@dataclass(frozen=True)
class HuggingFace:
    """transformers, in the trainer's precision."""

    def made_by(self, precision: str) -> dict[str, Json]:
        return {"name": "huggingface", "precision": precision}

    def open(self, parts: BackendParts) -> Backend:
        from xdr.generators.huggingface_backend import HuggingFaceBackend

        return HuggingFaceBackend(parts.generator, parts.tokenizer, parts.sampling)


@dataclass(frozen=True)
class CTranslate2:
    """CTranslate2, which is faster. The generator is converted once into a folder of `artifacts_dir`."""

    compute_type: ComputeType

    def __post_init__(self) -> None:
        if self.compute_type not in get_args(ComputeType):
            raise UserError(f"compute_type must be one of {', '.join(get_args(ComputeType))}, got {self.compute_type}")

    def made_by(self, precision: str) -> dict[str, Json]:
        return {"name": "ctranslate2", "compute_type": self.compute_type}

    def open(self, parts: BackendParts) -> Backend:
        from xdr.generators.ctranslate2_backend import CTranslate2Backend

        return CTranslate2Backend(
            parts.generator,
            parts.tokenizer,
            parts.sampling,
            self.compute_type,
            parts.artifacts_dir / "ctranslate2",
            parts.generator_fingerprint,
            parts.device.type,
            parts.device.index or 0,
        )
