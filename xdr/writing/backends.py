"""Settings of the backends that write texts. Importing them does not import torch.

A new backend is a class with `made_by` and `load`, in any package that the setting `plugins` lists, and a YAML file in
conf/augmentation/generation/backend/ whose `_target_` names it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args
from urllib.parse import urlsplit

from xdr.errors import UserError, shown
from xdr.generators.generator import Generator
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.storage.fingerprint import Json, fingerprint

if TYPE_CHECKING:
    import torch
    from torch import nn

    from xdr.text.identification import LanguageIdentifier

ComputeType = Literal["float32", "int8", "float16", "bfloat16", "int8_float16"]
Interface = Literal["completions", "chat"]


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
    apart. `models` are moved to a device, and `on` opens the generator there; None if the generator runs elsewhere.
    `keeps_answers` says that a text is worth keeping before its shard is whole. `prices` are those of a million tokens of
    prompts and of texts."""

    task: Task
    fingerprint: str
    identifier: "LanguageIdentifier | None"
    models: "nn.Module | None"
    on: "Callable[[torch.device], Generator]"
    keeps_answers: bool = False
    prices: tuple[float, float] | None = None


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
        from xdr.writing.huggingface_backend import open_in_process

        def on(model: Any, tokenizer: Any, named: str, device: "torch.device") -> Generator:
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
        from xdr.generators.query_generator import QueryGenerator
        from xdr.writing.ctranslate2_backend import CTranslate2Backend
        from xdr.writing.sequence_to_sequence import SequenceToSequence

        def on(model: Any, tokenizer: Any, named: str, device: "torch.device") -> Generator:
            conversions = wanted.artifacts_dir / ".ctranslate2"  # hidden: it stays on this machine
            where = device.type, device.index or 0
            sampler = CTranslate2Backend(model, tokenizer, wanted.sampling, self.compute_type, conversions, named, *where)
            return SequenceToSequence(tokenizer, sampler, wanted.settings)

        loaded = _loaded(wanted, on)
        if not isinstance(loaded.models, QueryGenerator):
            raise UserError(
                "backend must be huggingface or openai for a causal language model, got ctranslate2, which is for the T5 family"
            )
        return loaded


@dataclass(frozen=True)
class OpenAI:
    """A server with OpenAI's interface, whose model is the generator, or several of them. The texts do not depend on where the
    servers are. If they serve a generator of train.py, its folder as `checkpoint` says what it was trained with."""

    base_url: str | list[str]
    model: str
    interface: Interface
    key_variable: str
    concurrency: int
    timeout: float
    retries: int
    stop: Sequence[str]
    extra_body: dict[str, Any] | None
    largest_n: int
    source_characters: int
    price_in: float | None
    price_out: float | None
    first_delay: float = 1.0
    needs_checkpoint = False

    def __post_init__(self) -> None:
        for name, least in (
            ("concurrency", 1),
            ("retries", 0),
            ("largest_n", 1),
            ("source_characters", 1),
            ("price_in", 0),
            ("price_out", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} must be at least {least}, got {value}")
        if self.timeout <= 0:
            raise UserError(f"timeout must be above 0, got {self.timeout}")
        if not self.base_urls or len(set(self.base_urls)) < len(self.base_urls):
            raise UserError(f"base_url must name each server once, and at least one, got {shown(self.base_url)}")
        for url in self.base_urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise UserError(f"base_url must be an address such as http://127.0.0.1:8000/v1, got {url}")
            if parts.username or parts.password or parts.query:
                raise UserError(
                    "base_url must not hold a password or a key. Put it into the environment variable that key_variable names"
                )
        if (self.price_in is None) != (self.price_out is None):
            raise UserError("price_in and price_out must be given together, or both be null")

    @property
    def base_urls(self) -> list[str]:
        return [self.base_url] if isinstance(self.base_url, str) else self.base_url

    def made_by(self, precision: str) -> dict[str, Json]:
        own: dict[str, Json] = {"stop": list(self.stop), "extra_body": self.extra_body or {}}
        return {"name": "openai", "interface": self.interface, "source_characters": self.source_characters, **own}

    def load(self, wanted: Wanted) -> Loaded:
        from xdr.writing.openai_backend import OpenAIGenerator
        from xdr.writing.served_folder import read_served_folder
        from xdr.writing.servers import Servers

        task, identifier, named = wanted.task, None, fingerprint({"model": self.model})
        if wanted.checkpoint is not None:
            trained, identifier, named = read_served_folder(wanted.checkpoint)
            task = replace(trained, output_length=task.output_length, prompt=task.prompt or trained.prompt)
        if task.language_at != "prompt" or wanted.sampling.vocabulary != "full":
            raise UserError("language_at must be prompt and vocabulary must be full with the openai backend")
        key = os.environ.get(self.key_variable) or None

        def on(device: "torch.device") -> Generator:
            servers = Servers(self.base_urls, key, self.concurrency, self.timeout, self.retries, self.first_delay)
            asked = self.stop, self.extra_body or {}, self.source_characters, self.largest_n
            return OpenAIGenerator(servers, self.model, self.interface, wanted.sampling, *asked)

        prices = None if self.price_in is None or self.price_out is None else (self.price_in, self.price_out)
        return Loaded(task, fingerprint([named, task.to_json()]), identifier, None, on, True, prices)


def _loaded(wanted: Wanted, on: "Callable[[Any, Any, str, torch.device], Generator]") -> Loaded:
    """A generator from a folder or the hub."""
    from xdr.generators.generator_folder import fingerprint_generator, open_generator
    from xdr.generators.query_generator import QueryGenerator

    assert wanted.checkpoint is not None
    model, tokenizer, identifier = open_generator(wanted.checkpoint, wanted.task)
    if isinstance(model, QueryGenerator) and wanted.precision.startswith("16"):
        raise UserError("trainer.precision=16 overflows in the T5 family; set trainer.precision=bf16-true, or 32-true")
    named = fingerprint_generator(model, tokenizer)
    return Loaded(tokenizer.task, named, identifier, model, lambda device: on(model, tokenizer, named, device))
