"""The texts of one shard of a collection: sampled, judged, and sampled again where they were refused."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xdr.encoders.texts import Texts, by_length, select
from xdr.generators.backends import Backend
from xdr.generators.quality import Candidate, Gate, QualityCounts
from xdr.generators.query_generator import GeneratorTokenizer
from xdr.generators.settings import GenerationSettings
from xdr.text.records import GeneratedTexts, Passage


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that a shard's texts depend on, besides its sources and its number."""

    tokenizer: GeneratorTokenizer
    backend: Backend
    gate: Gate
    settings: GenerationSettings

    def write(
        self, sources: Sequence[Passage], shard: int, report: Callable[[int], None] = lambda number: None
    ) -> tuple[list[GeneratedTexts], dict[str, QualityCounts]]:
        """Returns the texts of each source, in order, and the counts of each language. A query as a source is a passage without
        a title. `report` is called with the number of texts drawn by each call of the backend."""
        self.backend.begin(_seed(self.settings.seed, shard))
        work = _Shard(self, sources, report)
        for items in work.items():
            prompts = work.tokenize(items)
            for attempt in range(1 + self.settings.regenerate):
                for places in work.batches(items, prompts):
                    work.draw([items[place] for place in places.tolist()], select(prompts, places), attempt)
        return work.texts(), work.counts


class _Item(NamedTuple):
    """A prompt: the row of its source, and the languages that texts are wanted in."""

    row: int
    languages: tuple[str, ...]


class _Shard:
    def __init__(self, generation: Generation, sources: Sequence[Passage], report: Callable[[int], None]) -> None:
        self._tokenizer, self._backend, self._gate = generation.tokenizer, generation.backend, generation.gate
        self._settings, self._sources, self._report = generation.settings, sources, report
        self._rows = [row for row, source in enumerate(sources) if source.text.strip()]
        self._accepted: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.counts = {
            language: QualityCounts(
                passages=len(sources),
                empty_passages=len(sources) - len(self._rows),
                wanted=len(self._rows) * self._settings.number,
            )
            for language in self._settings.languages
        }

    def items(self) -> list[list[_Item]]:
        """Prompts in groups that may share a batch: all of them, or those of one language where the backend takes one at a
        time."""
        if self._tokenizer.task.language_at == "decoder":
            return [[_Item(row, self._settings.languages) for row in self._rows]]
        groups = [[_Item(row, (language,)) for row in self._rows] for language in self._settings.languages]
        return groups if self._backend.one_language else [[item for group in groups for item in group]]

    def tokenize(self, items: Sequence[_Item]) -> Texts:
        texts = [self._tokenizer.prompt(self._sources[row], languages[0]) for row, languages in items]
        prompts, truncated = self._tokenizer.sources(texts, self._settings.input_length)
        for item, was_truncated in zip(items, truncated.tolist(), strict=True):
            for language in item.languages:
                self.counts[language].truncated_passages += was_truncated
        return prompts

    def batches(self, items: Sequence[_Item], prompts: Texts) -> Iterator[Tensor]:
        """Places of items that still need texts, of similar length, as many as the token budget allows. The largest batch comes
        first, so that a lack of memory shows at the start."""
        incomplete = torch.tensor(
            [any(self._missing(row, code) for code in languages) for row, languages in items], dtype=torch.bool
        )
        ordered = by_length(prompts)
        ordered = ordered[incomplete[ordered]].flip(0)
        while len(ordered):
            longest, item = int(prompts.lengths_B[ordered[0]]), items[int(ordered[0])]
            tokens_per_item = longest + len(item.languages) * self._settings.number * self._tokenizer.task.output_length
            size = max(1, self._settings.tokens_per_batch // tokens_per_item)
            yield ordered[:size]
            ordered = ordered[size:]

    def draw(self, items: Sequence[_Item], prompts: Texts, attempt: int) -> None:
        """Calls the backend once for all languages, or once a language where it takes one at a time."""
        encoded = self._backend.encode(prompts)
        wanted = [
            (place, language)
            for place, item in enumerate(items)
            for language in item.languages
            if self._missing(item.row, language)
        ]
        calls = [wanted]
        if self._backend.one_language:
            calls = [[entry for entry in wanted if entry[1] == language] for language in self._settings.languages]
        for call in calls:
            if call:
                self._draw(items, encoded, call, attempt)

    def _draw(self, items: Sequence[_Item], encoded: Any, wanted: Sequence[tuple[int, str]], attempt: int) -> None:
        places, languages = torch.tensor([place for place, _ in wanted]), [language for _, language in wanted]
        number = max(self._missing(items[place].row, language) for place, language in wanted)
        drawn = self._backend.decode(encoded, places, languages, number)
        for (place, language), texts in zip(wanted, drawn, strict=True):
            candidates = [Candidate(self._tokenizer.decode(text.ids), language, text.ended, len(text.ids)) for text in texts]
            self._judge(items[place].row, language, candidates, attempt)
        self._report(sum(map(len, drawn)))

    def _judge(self, row: int, language: str, candidates: list[Candidate], attempt: int) -> None:
        counts, accepted = self.counts[language], self._accepted[row, language]
        reasons = self._gate.judge(self._sources[row], candidates, [(language, text) for text in accepted])
        for candidate, reason in zip(candidates, reasons, strict=True):
            counts.count(reason, candidate.num_tokens, again=attempt > 0)
            if len(accepted) < self._settings.number and not self._gate.refuses(reason):
                accepted.append(candidate.text)
                counts.kept += 1

    def _missing(self, row: int, language: str) -> int:
        return self._settings.number - len(self._accepted[row, language])

    def texts(self) -> list[GeneratedTexts]:
        languages = self._settings.languages
        return [
            GeneratedTexts(source.passage_id, {language: tuple(self._accepted[row, language]) for language in languages})
            for row, source in enumerate(self._sources)
        ]


def _seed(seed: int, shard: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {shard}".encode(), digest_size=8).digest(), "little") >> 1
