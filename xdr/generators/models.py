"""Settings of a generator that is to be trained. Importing them does not import torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from xdr.errors import UserError
from xdr.generators.settings import Task
from xdr.text.prompts import Direction, LanguageAt, PromptTemplate

if TYPE_CHECKING:
    from xdr.generators.causal_generator import CausalGenerator, CausalTokenizer
    from xdr.generators.generator_folder import AnyGenerator, AnyTokenizer
    from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator


class GeneratorModel(Protocol):
    """What `_target_` of conf/model/*query_generator.yaml names."""

    @property
    def task(self) -> Task:
        """Without languages: the training data add them."""
        ...

    def build(self, task: Task, initial_folder: Path, seed: int, texts: Iterable[str]) -> "tuple[AnyGenerator, AnyTokenizer]":
        """`task` is this task with the languages of the training data. A model that is made from nothing is written to
        `initial_folder`, with a vocabulary for `texts`, and read from there when training resumes."""
        ...


@dataclass(frozen=True)
class SequenceToSequenceGenerator:
    """mT5 or another model of the T5 family, from a folder or the hub."""

    path: str
    direction: Direction
    language_at: LanguageAt
    input_length: int
    output_length: int
    prompt: str | None
    gradient_checkpointing: bool

    @property
    def task(self) -> Task:
        prompt = None if self.prompt is None else PromptTemplate(self.prompt)
        return Task(self.direction, self.language_at, self.input_length, self.output_length, prompt=prompt)

    def build(
        self, task: Task, initial_folder: Path, seed: int, texts: Iterable[str]
    ) -> "tuple[QueryGenerator, GeneratorTokenizer]":
        from xdr.generators.generator_folder import load_generator

        generator, tokenizer = load_generator(self.path, task)
        if self.gradient_checkpointing:
            generator.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return generator, tokenizer


@dataclass(frozen=True)
class CausalLanguageModel:
    """A causal language model, from a folder or the hub. With `lora_rank` above 0, low-rank updates of the frozen model are
    trained."""

    path: str
    direction: Direction
    input_length: int
    output_length: int
    prompt: str | None
    lora_rank: int
    lora_targets: list[str] | None
    gradient_checkpointing: bool

    def __post_init__(self) -> None:
        if self.lora_rank < 0:
            raise UserError(f"lora_rank must be at least 0, got {self.lora_rank}")
        if self.lora_targets and not self.lora_rank:
            raise UserError(f"lora_targets must be left out where lora_rank is 0, got {self.lora_targets}. Give lora_rank too")

    @property
    def task(self) -> Task:
        prompt = None if self.prompt is None else PromptTemplate(self.prompt)
        return Task(self.direction, "prompt", self.input_length, self.output_length, prompt=prompt)

    def build(
        self, task: Task, initial_folder: Path, seed: int, texts: Iterable[str]
    ) -> "tuple[CausalGenerator, CausalTokenizer]":
        from xdr.encoders.input_format import LoraOptions
        from xdr.encoders.transformer_encoder import adapt
        from xdr.generators.causal_generator import CausalGenerator, require_packable
        from xdr.generators.generator_folder import load_generator

        generator, tokenizer = load_generator(self.path, task)
        if not isinstance(generator, CausalGenerator):
            raise UserError(
                f"path must be a causal language model, got one of the T5 family in {self.path}. Set model=query_generator"
            )
        require_packable(generator, self.path)
        lora = LoraOptions(self.lora_rank, 2 * self.lora_rank, targets=tuple(self.lora_targets) if self.lora_targets else None)
        generator.model = adapt(generator.model, gradient_checkpointing=self.gradient_checkpointing, lora=lora)
        return generator, tokenizer


@dataclass(frozen=True)
class SmallGenerator:
    """A small mT5 with random weights and its own vocabulary, for demos and tests."""

    hidden: int
    layers: int
    direction: Direction
    language_at: LanguageAt
    input_length: int
    output_length: int
    prompt: str | None

    @property
    def task(self) -> Task:
        prompt = None if self.prompt is None else PromptTemplate(self.prompt)
        return Task(self.direction, self.language_at, self.input_length, self.output_length, prompt=prompt)

    def build(
        self, task: Task, initial_folder: Path, seed: int, texts: Iterable[str]
    ) -> "tuple[QueryGenerator, GeneratorTokenizer]":
        from xdr.generators.generator_folder import load_generator
        from xdr.generators.small import build_small_mt5

        if not (initial_folder / "config.json").exists():
            build_small_mt5(list(texts), initial_folder, seed=seed, hidden=self.hidden, layers=self.layers)
        return load_generator(str(initial_folder), task)
