"""A T5 as a `Generator`: prompts to tokens, in batches of similar length, read once for all texts about them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from xdr.encoders.texts import Texts, by_length, select
from xdr.generators.generator import Reply, Request, Written
from xdr.generators.query_generator import GeneratorTokenizer
from xdr.generators.settings import GenerationSettings


class Drawn(NamedTuple):
    """The tokens of a text without the end token, and whether the generator wrote the end token."""

    ids: list[int]
    ended: bool


class Sampler(Protocol):
    """Samples the tokens of texts. They depend on the seed and on the calls since `begin`, on nothing else."""

    def begin(self, seed: int) -> None: ...

    def encode(self, sources: Texts) -> Any:
        """Prompts, encoded once for all texts and languages that `decode` is asked for."""
        ...

    @property
    def one_language(self) -> bool:
        """Whether each call of `decode` must ask for a single language."""
        ...

    def decode(
        self, encoded: Any, rows: Tensor, languages: Sequence[str], number: int, output_length: int | None = None
    ) -> list[list[Drawn]]:
        """`number` texts for each row of the encoded prompts, in the language at the same place of `languages`. They have at
        most `output_length` tokens; None: as many as the sampling says."""
        ...


class SequenceToSequence:
    """A batch holds `settings.tokens_per_batch` tokens of prompts and texts together."""

    def __init__(self, tokenizer: GeneratorTokenizer, sampler: Sampler, settings: GenerationSettings) -> None:
        self._tokenizer, self._sampler, self._settings = tokenizer, sampler, settings
        self._at_decoder = tokenizer.task.language_at == "decoder"

    def begin(self, seed: int) -> None:
        self._sampler.begin(seed)

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        if self._sampler.one_language and not self._at_decoder:
            return [(language,) for language in languages]
        return [tuple(languages)]

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        items = self._items(requests)
        first = [requests[places[0]] for places in items]
        prompts, truncated = self._tokenizer.sources(
            [request.prompt for request in first],
            self._settings.input_length,
            [request.template.tail(request.source, request.language, request.summary) for request in first],
        )
        for batch in self._batches(prompts):
            own = [items[item] for item in batch.tolist()]
            for item, place, texts in self._draw(requests, own, select(prompts, batch)):
                row = batch[item]
                yield place, Reply(texts, int(prompts.lengths_B[row]), bool(truncated[row]))

    def _items(self, requests: Sequence[Request]) -> list[list[int]]:
        """Places of the requests that share a prompt. Where the prompt names the language, the languages come one by one."""
        if not self._at_decoder:
            return [[place] for place in sorted(range(len(requests)), key=lambda place: self._order(requests[place].language))]
        sharing: dict[Any, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            sharing[request.source].append(place)
        return list(sharing.values())

    def _order(self, language: str) -> int:
        languages = self._settings.languages
        return languages.index(language) if language in languages else len(languages)

    def _batches(self, prompts: Texts) -> Iterator[Tensor]:
        """Prompts of similar length, as many as the token budget allows. The largest batch comes first, so that a lack of
        memory shows at the start."""
        texts_per_prompt = self._settings.number * (len(self._settings.languages) if self._at_decoder else 1)
        ordered = by_length(prompts).flip(0)
        while len(ordered):
            longest = int(prompts.lengths_B[ordered[0]])
            tokens_per_prompt = longest + texts_per_prompt * self._tokenizer.task.output_length
            size = max(1, self._settings.tokens_per_batch // tokens_per_prompt)
            yield ordered[:size]
            ordered = ordered[size:]

    def _draw(
        self, requests: Sequence[Request], items: Sequence[list[int]], prompts: Texts
    ) -> Iterator[tuple[int, int, list[Written]]]:
        """Yields item, place and texts of each request. Calls the sampler once for all languages, or once a language where it
        takes one at a time."""
        encoded = self._sampler.encode(prompts)
        calls: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for item, places in enumerate(items):
            for place in places:
                calls[requests[place].language if self._sampler.one_language else ""].append((item, place))
        for language in sorted(calls, key=self._order):
            wanted = calls[language]
            drawn = self._sampler.decode(
                encoded,
                torch.tensor([item for item, _ in wanted]),
                [requests[place].language for _, place in wanted],
                max(requests[place].number for _, place in wanted),
                requests[0].template.output_length,
            )
            for (item, place), texts in zip(wanted, drawn, strict=True):
                yield item, place, [Written(self._tokenizer.decode(one.ids), len(one.ids), one.ended) for one in texts]
