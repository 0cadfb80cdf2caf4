"""What a generator is asked, as settings: words, a few-shot prompt, and SWIM-IR's summary before the question. No torch.

Exemplars are lines of a JSONL file: `passage`, `question`, `language` (that of the question), and optionally `title` and
`summary` of the passage. They do not depend on the source, so that a server can keep what it computed for them.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from xdr.data.problems import Problems
from xdr.data.rows import Row, read_rows
from xdr.errors import DataError, UserError
from xdr.text.languages import find_language
from xdr.text.prompts import PromptTemplate, fill, passage_text, require_fields
from xdr.text.records import Passage

_OF_PASSAGE = ("passage", "title", "text", "summary")
_OF_EXEMPLAR = (*_OF_PASSAGE, "language", "question")


class PromptSettings(Protocol):
    """What `_target_` of conf/augmentation/generation/prompt/*.yaml names."""

    def template(self, languages: Sequence[str]) -> PromptTemplate | None:
        """The template for texts in these languages. None: what the generator was trained with, else the published words."""
        ...


@dataclass(frozen=True)
class Words:
    """The words of `text`, if there are any."""

    text: str | None

    def template(self, languages: Sequence[str]) -> PromptTemplate | None:
        return None if self.text is None else PromptTemplate(self.text)


@dataclass(frozen=True)
class FewShot:
    """{exemplars} of `text` becomes `exemplar`, filled with `number` lines of the file `path` whose questions are in the wanted
    language."""

    text: str
    exemplar: str
    path: str
    number: int
    seed: int

    def __post_init__(self) -> None:
        require_fields(self.exemplar, _OF_EXEMPLAR, "exemplar")
        if self.number < 1:
            raise UserError(f"number must be at least 1, got {self.number}")

    def template(self, languages: Sequence[str]) -> PromptTemplate:
        exemplars = read_exemplars(self.path)
        return PromptTemplate(
            self.text, chosen_by_language(exemplars, languages, self.exemplar, self.number, self.seed, self.path)
        )


@dataclass(frozen=True)
class SummarizeThenAsk:
    """SWIM-IR's two steps: the generator first writes a summary of a passage, once for all languages, and then a question from
    the passage and {summary}. In both steps {exemplars} are as in `FewShot`; those of a summary are passages of any language's
    exemplars. A summary has at most `summary_length` tokens."""

    text: str
    exemplar: str
    summary: str
    summary_exemplar: str
    summary_length: int
    path: str
    number: int
    seed: int

    def __post_init__(self) -> None:
        require_fields(self.summary_exemplar, _OF_PASSAGE, "summary_exemplar")
        if self.summary_length < 1:
            raise UserError(f"summary_length must be at least 1, got {self.summary_length}")

    def template(self, languages: Sequence[str]) -> PromptTemplate:
        exemplars = read_exemplars(self.path)
        return PromptTemplate(
            self.text,
            chosen_by_language(exemplars, languages, self.exemplar, self.number, self.seed, self.path),
            PromptTemplate(self._summary(exemplars), output_length=self.summary_length),
        )

    def _summary(self, exemplars: "Sequence[Exemplar]") -> str:
        """The template of the first step, with its exemplars as literal text."""
        summarized = {exemplar.passage: exemplar for exemplar in exemplars if exemplar.summary}
        chosen = _chosen([*summarized.values()], self.number, f"{self.seed} summaries", "with a summary", self.path)
        written = "".join(exemplar.written(self.summary_exemplar) for exemplar in chosen)
        return self.summary.replace("{exemplars}", written.replace("{", "{{").replace("}", "}}"))


class Exemplar(NamedTuple):
    passage: Passage
    language: str
    question: str
    summary: str

    def written(self, template: str) -> str:
        values = {"passage": passage_text(self.passage), "title": self.passage.title, "text": self.passage.text}
        values |= {"summary": self.summary, "language": find_language(self.language).name, "question": self.question}
        return fill(template, values)


def read_exemplars(path: str | Path) -> list[Exemplar]:
    def parse(row: Row) -> Exemplar:
        passage = Passage("", row.optional_text("title"), row.text("passage"))
        return Exemplar(passage, row.language("language"), row.text("question"), row.optional_text("summary"))

    return list(read_rows(path, Problems(strict=True), parse))


def chosen_by_language(
    exemplars: Sequence[Exemplar], languages: Sequence[str], template: str, number: int, seed: int, path: str
) -> dict[str, str]:
    """For each language `number` exemplars of that language, written one after another."""
    needs_summary = "{summary}" in template
    by_language: dict[str, list[Exemplar]] = defaultdict(list)
    for exemplar in exemplars:
        if exemplar.summary or not needs_summary:
            by_language[exemplar.language].append(exemplar)
    rule = " with a summary" if needs_summary else ""
    chosen = {
        language: _chosen(by_language[language], number, f"{seed} {language}", f"in {language}{rule}", path)
        for language in languages
    }
    return {language: "".join(one.written(template) for one in some) for language, some in chosen.items()}


def _chosen(exemplars: Sequence[Exemplar], number: int, seed: str, rule: str, path: str) -> list[Exemplar]:
    if len(exemplars) < number:
        problem = f"there must be at least {number} exemplars {rule}, got {len(exemplars)}"
        raise DataError(problem, file=path, remedy="Lower augmentation.generation.prompt.number, or add some")
    return random.Random(seed).sample(exemplars, number)
