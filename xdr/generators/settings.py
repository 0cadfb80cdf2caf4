"""What is to be generated: the task, how tokens are sampled, how many texts are wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from xdr.errors import UserError
from xdr.text.prompts import Direction, LanguageAt, PromptTemplate, published_prompt

Vocabulary = Literal["full", "language"]


@dataclass(frozen=True, slots=True)
class Task:
    """What a generator writes. `languages` are the languages it was trained to write in; they are empty for a model folder
    from elsewhere, which does not record them. Lengths are in tokens, including the end token. `prompt` is None for the
    published words."""

    direction: Direction
    language_at: LanguageAt
    input_length: int
    output_length: int
    languages: tuple[str, ...] = ()
    prompt: PromptTemplate | None = None

    def __post_init__(self) -> None:
        fields, text = self.template.fields, self.template.text
        if self.direction == "query_from_passage":
            _require(bool(fields & {"passage", "text"}), "prompt must contain {passage} or {text}", text)
            _require("query" not in fields, "prompt must contain {query} only with direction=passage_from_query", text)
        else:
            _require("query" in fields, "prompt must contain {query} with direction=passage_from_query", text)
        if self.language_at == "decoder":
            fits = not self.template.names_language and self.template.summary is None
            _require(fits, "prompt must not contain {language} or {summary} with language_at=decoder", text)

    @property
    def template(self) -> PromptTemplate:
        return self.prompt or published_prompt(self.direction, self.language_at)

    def require_languages(self, languages: Sequence[str]) -> None:
        """Refuses languages that the generator was not trained for, as far as its folder says, or cannot be asked for."""
        trained = self.languages
        if unknown := [code for code in languages if trained and code not in trained]:
            raise UserError(
                f"languages must be among those of the generator ({' '.join(trained)}), got {unknown[0]}. "
                f"Set augmentation.generation.languages, or train a generator with questions in {unknown[0]}"
            )
        if len(languages) > 1 and self.language_at == "prompt" and not self.template.names_language:
            raise UserError(f"prompt must contain {{language}} with several languages, got {self.template.text!r}")

    def to_json(self) -> dict[str, Any]:
        """The published words are left out, as in folders that older versions wrote."""
        values = {name: getattr(self, name) for name in ("direction", "language_at", "input_length", "output_length")}
        values["languages"] = list(self.languages)
        if self.template != published_prompt(self.direction, self.language_at):
            values["prompt"] = self.template.to_json()
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        prompt = PromptTemplate.from_json(values["prompt"]) if "prompt" in values else None
        return cls(**{**values, "languages": tuple(values["languages"]), "prompt": prompt})


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is drawn: from the `top_k` most probable tokens (0: all), of those from the smallest set with a total
    probability of `top_p`, after dividing the logits by `temperature`. With `vocabulary="language"` only tokens that the wanted
    language may contain are drawn; `latin` adds those in Latin letters."""

    top_k: int
    top_p: float
    temperature: float
    output_length: int
    vocabulary: Vocabulary = "full"
    latin: bool = True

    def __post_init__(self) -> None:
        _require(self.top_k >= 0, "top_k must be at least 0", self.top_k)
        _require(0 < self.top_p <= 1, "top_p must be above 0 and at most 1", self.top_p)
        _require(self.temperature > 0, "temperature must be above 0", self.temperature)
        _require(self.output_length >= 1, "output_length must be at least 1", self.output_length)
        _require(
            self.vocabulary in get_args(Vocabulary), f"vocabulary must be {' or '.join(get_args(Vocabulary))}", self.vocabulary
        )


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """`number` texts in each language for every source. A text that the quality gate refuses is drawn again up to `regenerate`
    times. A batch holds `tokens_per_batch` tokens of prompts and texts together."""

    languages: tuple[str, ...]
    number: int
    input_length: int
    regenerate: int
    tokens_per_batch: int
    seed: int

    def __post_init__(self) -> None:
        _require(bool(self.languages), "languages must name at least one language", list(self.languages))
        _require(self.number >= 1, "number must be at least 1", self.number)
        _require(self.input_length >= 8, "input_length must be at least 8", self.input_length)
        _require(self.regenerate >= 0, "regenerate must be at least 0", self.regenerate)
        _require(self.tokens_per_batch >= 1, "tokens_per_batch must be at least 1", self.tokens_per_batch)


def _require(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise UserError(f"{rule}, got {value}")
