"""Settings of teachers. Importing them does not import torch."""

from dataclasses import dataclass

from xdr.encoders.input_format import EncoderOptions
from xdr.errors import UserError
from xdr.generators.settings import Task
from xdr.storage.fingerprint import fingerprint
from xdr.teaching.teacher import LoadedTeacher, Teacher
from xdr.text.prompts import LanguageAt, PromptTemplate


def _require_tokens(tokens_per_batch: int) -> None:
    if tokens_per_batch < 1:
        raise UserError(f"tokens_per_batch must be at least 1, got {tokens_per_batch}")


@dataclass(frozen=True)
class EncoderTeacher:
    """What `stage=encode` takes as a checkpoint, with the same settings."""

    path: str
    pooling: str | None
    normalize: bool | None
    query_length: int | None
    passage_length: int | None
    query_prefix: str | None
    passage_prefix: str | None
    truncate_dim: int | None
    end_token: bool | None
    tokens_per_batch: int

    def __post_init__(self) -> None:
        _require_tokens(self.tokens_per_batch)

    def load(self, precision: str) -> LoadedTeacher:
        from torch import device, nn

        from xdr.encoders.encoder import Encoder
        from xdr.encoders.fingerprints import fingerprint_encoder
        from xdr.encoders.inference import prepared_for_inference
        from xdr.encoders.open_encoder import open_encoder
        from xdr.teaching.pair_encoder import PairEncoder

        queries, passages, tokenizer = open_encoder(self.path, EncoderOptions.of(self))

        def on(where: device) -> Teacher:
            of_queries = prepared_for_inference(queries)
            of_passages = of_queries if passages is None else prepared_for_inference(passages)
            return PairEncoder(Encoder(of_queries, of_passages, tokenizer, self.tokens_per_batch))

        named = fingerprint(["encoder", fingerprint_encoder(queries, passages, tokenizer), self.tokens_per_batch])
        return LoadedTeacher(named, nn.ModuleList([queries] if passages is None else [queries, passages]), on)


@dataclass(frozen=True)
class LateInteractionTeacher:
    """A late-interaction encoder: its scores are MaxSim."""

    path: str

    def load(self, precision: str) -> LoadedTeacher:
        from xdr.late_interaction.scorer import load_late_interaction

        teacher = load_late_interaction(self.path)
        return LoadedTeacher(fingerprint(["late interaction", teacher.fingerprint]), teacher.encoder, lambda device: teacher)


@dataclass(frozen=True)
class CrossEncoderTeacher:
    """A sequence classifier of transformers. `label` names the logit that is the score, by name or number."""

    path: str
    label: str | int | None
    length: int
    tokens_per_batch: int

    def __post_init__(self) -> None:
        _require_tokens(self.tokens_per_batch)
        if self.length < 8:
            raise UserError(f"length must be at least 8, got {self.length}")

    def load(self, precision: str) -> LoadedTeacher:
        from xdr.teaching.cross_encoder import fingerprint_cross_encoder, load_cross_encoder

        teacher = load_cross_encoder(self.path, self.label, self.length, self.tokens_per_batch)
        named = fingerprint(["cross-encoder", fingerprint_cross_encoder(teacher), self.tokens_per_batch])
        return LoadedTeacher(named, teacher.model, lambda device: teacher)


@dataclass(frozen=True)
class GeneratorTeacher:
    """A generator that was trained to ask about passages, or a hub model with a prompt. A generator of train.py keeps its own
    prompt and languages."""

    path: str
    prompt: str | None
    language_at: LanguageAt
    input_length: int
    output_length: int
    end_token: bool
    tokens_per_batch: int

    def __post_init__(self) -> None:
        _require_tokens(self.tokens_per_batch)
        for name in ("input_length", "output_length"):
            if getattr(self, name) < 8:
                raise UserError(f"{name} must be at least 8, got {getattr(self, name)}")

    @property
    def task(self) -> Task:
        prompt = None if self.prompt is None else PromptTemplate(self.prompt)
        return Task("query_from_passage", self.language_at, self.input_length, self.output_length, prompt=prompt)

    def load(self, precision: str) -> LoadedTeacher:
        from xdr.generators.causal_generator import CausalGenerator, require_packable
        from xdr.generators.generator_folder import fingerprint_generator, open_generator
        from xdr.teaching.query_likelihood import QueryLikelihood

        generator, tokenizer, _ = open_generator(self.path, self.task)
        if tokenizer.task.direction != "query_from_passage":
            raise UserError(f"path must be a generator that asks about passages, got {self.path}, which writes passages")
        if tokenizer.task.template.summary is not None:
            raise UserError(f"path must be a generator that asks at once, got {self.path}, which summarizes first")
        if isinstance(generator, CausalGenerator):
            require_packable(generator, self.path)
        elif precision.startswith("16"):
            raise UserError("trainer.precision=16 overflows in the T5 family; set trainer.precision=bf16-true, or 32-true")
        teacher = QueryLikelihood(generator.eval(), tokenizer, self.end_token, self.tokens_per_batch)
        named = fingerprint_generator(generator, tokenizer)
        settings = [self.end_token, self.tokens_per_batch]
        return LoadedTeacher(fingerprint(["generator", named, *settings]), generator, lambda device: teacher)
