"""What a generator is asked, in one place: the same words in training, validation and generation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Literal, Self, get_args

from xdr.errors import UserError, did_you_mean
from xdr.text.languages import find_language
from xdr.text.records import Passage

Direction = Literal["query_from_passage", "passage_from_query"]
LanguageAt = Literal["prompt", "decoder"]
"""Where the language of the wanted text stands: in the prompt, or as the decoder's first token, so that one prompt serves all
languages."""

Field = Literal["passage", "title", "text", "query", "language", "exemplars", "summary"]
_OF_LANGUAGE = {"language", "exemplars"}
_SOURCE = {"passage", "text", "query"}


def passage_text(passage: Passage) -> str:
    """Title and text, as the published recipe joins them."""
    return f"{passage.title} {passage.text}" if passage.title else passage.text


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """`text` with fields: {passage} is title and text of the source, {title} and {text} are its parts, {query} is a source that
    is a query, {language} is the English name of the wanted language. {exemplars} is what `exemplars` holds for the language.
    {summary} is what the generator writes first when it is asked `summary`. Other braces are doubled.

    `output_length` is that of a summary, in tokens; None: the sampling's."""

    text: str
    exemplars: Mapping[str, str] = field(default_factory=dict)
    summary: "PromptTemplate | None" = None
    output_length: int | None = None

    def __post_init__(self) -> None:
        require_fields(self.text, get_args(Field), "prompt")
        for name, is_given in (("exemplars", bool(self.exemplars)), ("summary", self.summary is not None)):
            if is_given != (name in self.fields):
                raise UserError(f"prompt must contain {{{name}}} exactly if {name} are given, got {self.text!r}")
        if self.summary is not None and self.summary.names_language:
            raise UserError(f"the prompt of a summary must be the same for all languages, got {self.summary.text!r}")

    @property
    def fields(self) -> set[str]:
        return {name for _, name in _parts(self.text)}

    @property
    def names_language(self) -> bool:
        """Whether the prompts of a source differ by language."""
        return bool(self.fields & _OF_LANGUAGE)

    def render(self, source: Passage, language: str, summary: str = "") -> str:
        """The whole prompt: `shared`, then `rest`."""
        return self.shared(source, summary) + self.rest(source, language, summary)

    def shared(self, source: Passage, summary: str = "") -> str:
        """The prompt up to the first field that depends on the language."""
        own, _ = self._split()
        return _filled(own, _values(source, summary))

    def rest(self, source: Passage, language: str, summary: str = "") -> str:
        """The prompt from there on. It depends on the language alone if the source is named before the language."""
        _, own = self._split()
        return self._filled_for(language, own, source, summary)

    def tail(self, source: Passage, language: str, summary: str = "") -> str:
        """The prompt behind the source. It must stay where a prompt that is too long is cut."""
        parts = _parts(self.text)
        last = max((place for place, (_, name) in enumerate(parts) if name in _SOURCE), default=len(parts))
        return self._filled_for(language, parts[last + 1 :], source, summary)

    def to_json(self) -> "str | dict[str, object]":
        """The text alone, where there is no more."""
        values: dict[str, object] = {
            "text": self.text,
            "exemplars": dict(self.exemplars),
            "summary": self.summary and self.summary.to_json(),
            "output_length": self.output_length,
        }
        given = {name: value for name, value in values.items() if value}
        return self.text if given.keys() == {"text"} else given

    @classmethod
    def from_json(cls, value: "str | Mapping[str, object]") -> Self:
        if isinstance(value, str):
            return cls(value)
        values = dict(value)
        if "summary" in values:
            values["summary"] = cls.from_json(values["summary"])  # type: ignore[arg-type]  # what to_json wrote
        return cls(**values)  # type: ignore[arg-type]  # what to_json wrote

    def _split(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        parts = _parts(self.text)
        first = next((place for place, (_, name) in enumerate(parts) if name in _OF_LANGUAGE), None)
        if first is None:
            return parts, []
        literal, name = parts[first]
        return [*parts[:first], (literal, "")], [("", name), *parts[first + 1 :]]

    def _filled_for(self, language: str, parts: list[tuple[str, str]], source: Passage, summary: str) -> str:
        values = _values(source, summary)
        if any(name in _OF_LANGUAGE for _, name in parts):
            values |= {"language": find_language(language).name, "exemplars": self.exemplars.get(language, "")}
        return _filled(parts, values)


def published_prompt(direction: Direction, language_at: LanguageAt) -> PromptTemplate:
    """For a question about a passage xQG's words (ielab/xQG4xDR), for a passage that answers a question after HyDE's
    (texttron/hyde)."""
    at_prompt = language_at == "prompt"
    if direction == "query_from_passage":
        return PromptTemplate(f"Generate a {'{language} ' if at_prompt else ''}question for this passage: {{passage}}")
    return PromptTemplate(f"Please write a passage{' in {language}' if at_prompt else ''} to answer the question: {{query}}")


def require_fields(text: str, allowed: tuple[str, ...], name: str) -> None:
    """Refuses a template that cannot be filled."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise UserError(f"{name} must be text with fields in braces, got {text!r}: {error}. Double other braces") from None
    for _, used, layout, conversion in parts:
        if used is not None and (used not in allowed or layout or conversion):
            choices = ", ".join(f"{{{choice}}}" for choice in allowed)
            hint = did_you_mean(used, allowed) or "double other braces"
            raise UserError(f"{name} must use the fields {choices}, got {{{used}}}; {hint}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """A template that is no prompt, filled."""
    return _filled(_parts(text), values)


def _parts(text: str) -> list[tuple[str, str]]:
    """Literal text and the field after it; "" at the end."""
    return [(literal, name or "") for literal, name, _, _ in Formatter().parse(text)]


def _values(source: Passage, summary: str) -> dict[str, str]:
    values = {"title": source.title, "text": source.text, "query": source.text, "summary": summary}
    return {"passage": passage_text(source), **values}


def _filled(parts: list[tuple[str, str]], values: Mapping[str, str]) -> str:
    return "".join(literal + (values[name] if name else "") for literal, name in parts)
