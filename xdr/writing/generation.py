"""The texts of one shard of a collection: written, judged, and written again where they were refused."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdr.generators.generator import Generator, Reply, Request
from xdr.generators.settings import GenerationSettings
from xdr.text.prompts import PromptTemplate
from xdr.text.records import GeneratedTexts, Passage
from xdr.writing.quality import Candidate, Gate, QualityCounts


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that a shard's texts depend on, besides its sources and its number."""

    generator: Generator
    template: PromptTemplate
    gate: Gate
    settings: GenerationSettings

    def write(
        self, sources: Sequence[Passage], shard: int, report: Callable[[int], None] = lambda number: None
    ) -> tuple[list[GeneratedTexts], dict[str, QualityCounts]]:
        """Returns the texts of each source, in order, and the counts of each language. A query as a source is a passage without
        a title. `report` is called with the number of texts of each reply."""
        self.generator.begin(_seed(self.settings.seed, shard))
        work = _Shard(self, sources, report)
        for languages in self.generator.groups(self.settings.languages):
            for attempt in range(1 + self.settings.regenerate):
                work.draw(languages, attempt)
        return work.texts(), work.counts


class _Shard:
    def __init__(self, generation: Generation, sources: Sequence[Passage], report: Callable[[int], None]) -> None:
        self._generator, self._template, self._gate = generation.generator, generation.template, generation.gate
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
        self._summaries = self._summarize(self._template.summary) if self._template.summary and self._rows else {}

    def draw(self, languages: Sequence[str], attempt: int) -> None:
        """Asks for the texts that are still missing."""
        wanted = [(row, code) for row in self._rows for code in languages if self._missing(row, code)]
        requests = [
            Request(self._template, self._sources[row], code, self._missing(row, code), self._summaries.get(row, ""))
            for row, code in wanted
        ]
        for place, reply in self._generator.write(requests) if requests else ():
            self._judge(*wanted[place], reply, attempt)
            self._report(len(reply.texts))

    def _summarize(self, template: PromptTemplate) -> dict[int, str]:
        """One summary of each source."""
        requests = [Request(template, self._sources[row], self._sources[row].language, 1) for row in self._rows]
        return {self._rows[place]: reply.texts[0].text for place, reply in self._generator.write(requests)}

    def _judge(self, row: int, language: str, reply: Reply, attempt: int) -> None:
        counts, accepted = self.counts[language], self._accepted[row, language]
        counts.malformed += reply.malformed
        counts.truncated_passages += reply.truncated and attempt == 0
        candidates = [Candidate(one.text, language, one.ended, one.num_tokens) for one in reply.texts]
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
