"""Texts for one shard of a collection: drawn, judged, drawn again."""

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
from xdr.text.prompts import passage_prompt, query_prompt
from xdr.text.records import GeneratedTexts, Passage


@dataclass(frozen=True, slots=True)
class Generation:
    """All that a shard's texts are a function of, besides its sources and its number."""

    reader: GeneratorTokenizer
    backend: Backend
    gate: Gate
    settings: GenerationSettings

    def write(
        self, sources: Sequence[Passage], shard: int, report: Callable[[int], None] = lambda number: None
    ) -> tuple[list[GeneratedTexts], dict[str, QualityCounts]]:
        """Sources are passages, or queries in the guise of passages without a title. `report` is called with the number of
        texts drawn."""
        self.backend.begin(_seed(self.settings.seed, shard))
        work = _Shard(self, sources)
        for items in work.items():
            prompts = work.read(items)
            for attempt in range(1 + self.settings.regenerate):
                for places in work.batches(items, prompts):
                    work.draw([items[place] for place in places.tolist()], select(prompts, places), attempt, report)
        return work.texts(), work.counts


class _Item(NamedTuple):
    """A prompt: the row of its source, and the languages that it asks for."""

    row: int
    languages: tuple[str, ...]


class _Shard:
    def __init__(self, generation: Generation, sources: Sequence[Passage]) -> None:
        self._generation, self._sources = generation, sources
        self._settings = generation.settings
        self._written = [row for row, source in enumerate(sources) if source.text.strip()]
        self._accepted: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.counts = {
            language: QualityCounts(
                passages=len(sources),
                empty_passages=len(sources) - len(self._written),
                wanted=len(self._written) * self._settings.number,
            )
            for language in self._settings.languages
        }

    def items(self) -> list[list[_Item]]:
        """In groups that may share a batch: all, or those of one language where the backend writes in one at a time."""
        if self._generation.reader.task.language_at == "decoder":
            return [[_Item(row, self._settings.languages) for row in self._written]]
        groups = [[_Item(row, (language,)) for row in self._written] for language in self._settings.languages]
        return groups if self._generation.backend.one_language else [[item for group in groups for item in group]]

    def read(self, items: Sequence[_Item]) -> Texts:
        reader = self._generation.reader
        in_prompt = reader.task.language_at == "prompt"
        texts = [prompt_of(reader, self._sources[row], languages[0] if in_prompt else None) for row, languages in items]
        prompts, cut = reader.sources(texts, self._settings.input_length)
        for item, was_cut in zip(items, cut.tolist(), strict=True):
            for language in item.languages:
                self.counts[language].truncated_passages += was_cut
        return prompts

    def batches(self, items: Sequence[_Item], prompts: Texts) -> Iterator[Tensor]:
        """Places of the items that want texts still, of like length, as many as the budget allows."""
        wanting = torch.tensor(
            [any(self._missing(row, code) for code in languages) for row, languages in items], dtype=torch.bool
        )
        ordered = by_length(prompts)
        ordered = ordered[wanting[ordered]].flip(0)  # the largest batch comes first: memory is known at the start
        while len(ordered):
            longest, item = int(prompts.lengths_B[ordered[0]]), items[int(ordered[0])]
            each = longest + len(item.languages) * self._settings.number * self._generation.reader.task.output_length
            size = max(1, self._settings.tokens_per_batch // each)
            yield ordered[:size]
            ordered = ordered[size:]

    def draw(self, items: Sequence[_Item], prompts: Texts, attempt: int, report: Callable[[int], None]) -> None:
        """One call for all languages, or one for each where the backend writes in one at a time."""
        encoded = self._generation.backend.encode(prompts)
        wanted = [
            (place, language)
            for place, item in enumerate(items)
            for language in item.languages
            if self._missing(item.row, language)
        ]
        if not self._generation.backend.one_language:
            return self._draw(items, encoded, wanted, attempt, report)
        for code in self._settings.languages:
            self._draw(items, encoded, [(place, language) for place, language in wanted if language == code], attempt, report)

    def _draw(
        self,
        items: Sequence[_Item],
        encoded: Any,
        wanted: Sequence[tuple[int, str]],
        attempt: int,
        report: Callable[[int], None],
    ) -> None:
        if not wanted:
            return
        rows, languages = torch.tensor([place for place, _ in wanted]), [language for _, language in wanted]
        number = max(self._missing(items[place].row, language) for place, language in wanted)
        drawn = self._generation.backend.decode(encoded, rows, languages, number)
        for (place, language), texts in zip(wanted, drawn, strict=True):
            candidates = [
                Candidate(self._generation.reader.decode(text.ids), language, text.ended, len(text.ids)) for text in texts
            ]
            self._judge(items[place].row, language, candidates, attempt)
        report(sum(map(len, drawn)))

    def _judge(self, row: int, language: str, candidates: list[Candidate], attempt: int) -> None:
        counts, gate = self.counts[language], self._generation.gate
        accepted = self._accepted[row, language]
        reasons = gate.judge(self._sources[row], candidates, [(language, text) for text in accepted])
        for candidate, reason in zip(candidates, reasons, strict=True):
            counts.count(reason, candidate.num_tokens, again=attempt > 0)
            if len(accepted) < self._settings.number and not gate.refuses(reason):
                accepted.append(candidate.text)
                counts.kept += 1

    def _missing(self, row: int, language: str) -> int:
        return self._settings.number - len(self._accepted[row, language])

    def texts(self) -> list[GeneratedTexts]:
        """One of each source, in order, also where nothing was written."""
        return [
            GeneratedTexts(
                source.passage_id, {language: tuple(self._accepted[row, language]) for language in self._settings.languages}
            )
            for row, source in enumerate(self._sources)
        ]


def prompt_of(reader: GeneratorTokenizer, source: Passage, language: str | None) -> str:
    if reader.task.direction == "query_from_passage":
        return query_prompt(source, language)
    return passage_prompt(source.text, language)


def _seed(seed: int, shard: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {shard}".encode(), digest_size=8).digest(), "little") >> 1
