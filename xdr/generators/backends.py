"""Settings of the backends that write texts. Importing them does not import torch.

A new backend is a class with `made_by` and `load`, in any package that the setting `plugins` lists, and a YAML file in
conf/augmentation/generation/backend/ whose `_target_` names it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from xdr.errors import UserError
from xdr.generators.generator import Generator
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.storage.fingerprint import Json

if TYPE_CHECKING:
    import torch
    from torch import nn

    from xdr.text.identification import LanguageIdentifier

ComputeType = Literal["float32", "int8", "float16", "bfloat16", "int8_float16"]


@dataclass(frozen=True)
class Wanted:
    """What a generator is loaded for. `precision` is the trainer's. `artifacts_dir` is for what a backend makes of a model."""

    checkpoint: str | None
    task: Task
    sampling: Sampling
    settings: GenerationSettings
    precision: str
    artifacts_dir: Path


@dataclass(frozen=True)
class Loaded:
    """A generator with its task. `fingerprint` names it and its task. `identifier` tells the languages that it was trained with
    apart. `models` are moved to a device, and `on` opens the generator there; None if the generator runs elsewhere."""

    task: Task
    fingerprint: str
    identifier: "LanguageIdentifier | None"
    models: "nn.Module | None"
    on: "Callable[[torch.device], Generator]"


class BackendSettings(Protocol):
    @property
    def needs_checkpoint(self) -> bool: ...

    def made_by(self, precision: str) -> dict[str, Json]:
        """What the texts depend on besides the generator and the sampling, for their fingerprint."""
        ...

    def load(self, wanted: Wanted) -> Loaded: ...


@dataclass(frozen=True)
class HuggingFace:
    """transformers, in the trainer's precision."""

    needs_checkpoint = True

    def made_by(self, precision: str) -> dict[str, Json]:
        return {"name": "huggingface", "precision": precision}

    def load(self, wanted: Wanted) -> Loaded:
        from xdr.generators.huggingface_backend import open_in_process

        def on(model: Any, tokenizer: Any, fingerprint: str, device: "torch.device") -> Generator:
            return open_in_process(model, tokenizer, wanted.sampling, wanted.settings)

        return _loaded(wanted, on)


@dataclass(frozen=True)
class CTranslate2:
    """CTranslate2, which is faster. The generator is converted once into a folder of `artifacts_dir`."""

    compute_type: ComputeType
    needs_checkpoint = True

    def __post_init__(self) -> None:
        if self.compute_type not in get_args(ComputeType):
            raise UserError(f"compute_type must be one of {', '.join(get_args(ComputeType))}, got {self.compute_type}")

    def made_by(self, precision: str) -> dict[str, Json]:
        return {"name": "ctranslate2", "compute_type": self.compute_type}

    def load(self, wanted: Wanted) -> Loaded:
        from xdr.generators.ctranslate2_backend import CTranslate2Backend
        from xdr.generators.query_generator import QueryGenerator
        from xdr.generators.sequence_to_sequence import SequenceToSequence

        def on(model: Any, tokenizer: Any, fingerprint: str, device: "torch.device") -> Generator:
            conversions = wanted.artifacts_dir / "ctranslate2"
            where = device.type, device.index or 0
            sampler = CTranslate2Backend(model, tokenizer, wanted.sampling, self.compute_type, conversions, fingerprint, *where)
            return SequenceToSequence(tokenizer, sampler, wanted.settings)

        loaded = _loaded(wanted, on)
        if not isinstance(loaded.models, QueryGenerator):
            raise UserError(
                "backend must be huggingface or openai for a causal language model, got ctranslate2, which is for the T5 family"
            )
        return loaded


def _loaded(wanted: Wanted, on: "Callable[[Any, Any, str, torch.device], Generator]") -> Loaded:
    """A generator from a folder or the hub."""
    from xdr.generators.generator_folder import fingerprint_generator, open_generator
    from xdr.generators.query_generator import QueryGenerator

    assert wanted.checkpoint is not None
    model, tokenizer, identifier = open_generator(wanted.checkpoint, wanted.task)
    if isinstance(model, QueryGenerator) and wanted.precision.startswith("16"):
        raise UserError("trainer.precision=16 overflows in the T5 family; set trainer.precision=bf16-true, or 32-true")
    fingerprint = fingerprint_generator(model, tokenizer)
    return Loaded(tokenizer.task, fingerprint, identifier, model, lambda device: on(model, tokenizer, fingerprint, device))
