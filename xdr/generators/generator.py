"""What a generator does, whatever its family: requests to texts. Needs no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from xdr.text.prompts import PromptTemplate
from xdr.text.records import Passage


@dataclass(frozen=True, slots=True)
class Request:
    """At least `number` texts in a language about a source. A query as a source is a passage without a title. `summary` fills
    that field of the template."""

    template: PromptTemplate
    source: Passage
    language: str
    number: int
    summary: str = ""

    @property
    def prompt(self) -> str:
        return self.template.render(self.source, self.language, self.summary)


class Written(NamedTuple):
    """A text, the number of its tokens, and whether the generator ended it: it did not if it is as long as texts may be."""

    text: str
    num_tokens: int
    ended: bool


class Reply(NamedTuple):
    """The texts of a request. `num_prompt_tokens` are those that the generator read, `truncated` says that they are not the
    whole prompt, and `malformed` counts answers that could not be used and were asked for again."""

    texts: Sequence[Written]
    num_prompt_tokens: int
    truncated: bool = False
    malformed: int = 0


class Generator(Protocol):
    """Writes texts. Where it draws them itself, they depend on the seed and the requests since `begin`, and on nothing else."""

    def begin(self, seed: int) -> None:
        """Called before the first request of each shard."""
        ...

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        """The languages, in groups that are worked on one after another: all in one, unless changing the language is costly."""
        ...

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yields the place of each request and its reply, in any order, as soon as it is written. The requests have one
        template, and the languages of one group. Those about a source stand together."""
        ...


@dataclass
class Metered:
    """A `Generator` that counts the tokens that another one reads and writes from `begin` on."""

    generator: Generator
    num_read: int = 0
    num_written: int = 0

    def begin(self, seed: int) -> None:
        self.num_read = self.num_written = 0
        self.generator.begin(seed)

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        return self.generator.groups(languages)

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        for place, reply in self.generator.write(requests):
            self.num_read += reply.num_prompt_tokens
            self.num_written += sum(text.num_tokens for text in reply.texts)
            yield place, reply
