"""What a generator writes for some dev sources, and whether that is what was asked for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.markup import escape
from rich.table import Table
from torch import nn

from xdr.encoders.texts import select
from xdr.encoders.tokenization import TextTokenizer
from xdr.evaluation.gold_ranks import first_gold_ranks
from xdr.generators.huggingface_backend import HuggingFaceBackend
from xdr.generators.quality import copied_share, normalised
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import Sampling
from xdr.text.identification import LanguageCheck
from xdr.text.records import Passage

CUTOFFS = (1, 10)
"""Of the round trip."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """A dev source, the language of the text that is wanted for it, and the text that a person wrote. `group` is the language
    of the query, by which figures are told apart."""

    source: Passage
    language: str
    group: str
    reference: str


@dataclass(frozen=True, slots=True)
class GeneratedSample:
    asked: SampleRequest
    text: str
    num_tokens: int


@dataclass(frozen=True)
class RoundTrip:
    """Does a question find the passage that it was written about, among a pool?"""

    encoder: nn.Module
    reader: TextTokenizer
    pool: Sequence[Passage]

    @torch.inference_mode()
    def ranks(self, samples: Sequence[GeneratedSample]) -> list[int]:
        row_of = {passage.passage_id: row for row, passage in enumerate(self.pool)}
        passages_PD = torch.cat(
            [self.encoder(self.reader.passages(self.pool[i : i + 256])) for i in range(0, len(self.pool), 256)]
        )
        texts = [sample.text for sample in samples]
        queries_QD = torch.cat([self.encoder(self.reader.queries(texts[i : i + 256])) for i in range(0, len(texts), 256)])
        return first_gold_ranks(queries_QD, passages_PD, [[row_of[sample.asked.source.passage_id]] for sample in samples])


@dataclass(frozen=True)
class SampleCheck:
    """Draws one text for each of `asked`, the same way at every validation and in every process."""

    asked: Sequence[SampleRequest]
    reader: GeneratorTokenizer
    sampling: Sampling
    check: LanguageCheck
    seed: int
    round_trip: RoundTrip | None = None

    def draw(self, generator: QueryGenerator) -> list[GeneratedSample]:
        """Leaves torch's random numbers as they were."""
        devices = [generator.model.device] if generator.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            backend = HuggingFaceBackend(generator, self.reader, self.sampling)
            backend.begin(self.seed)
            by_language: dict[str, list[SampleRequest]] = defaultdict(list)
            for asked in self.asked:
                by_language[asked.language].append(asked)
            return [sample for language, its in by_language.items() for sample in self._drawn(backend, language, its)]

    def _drawn(self, backend: HuggingFaceBackend, language: str, asked: Sequence[SampleRequest]) -> list[GeneratedSample]:
        prompts, _ = self.reader.sources([self.reader.prompt(a.source, language) for a in asked])
        samples = []
        for places in torch.split(torch.arange(len(asked)), 64):
            encoded = backend.encode(select(prompts, places))
            for place, (drawn,) in zip(
                places.tolist(), backend.decode(encoded, torch.arange(len(places)), [language] * len(places), 1), strict=True
            ):
                samples.append(GeneratedSample(asked[place], self.reader.decode(drawn.ids), len(drawn.ids)))
        return samples

    def figures(self, samples: Sequence[GeneratedSample]) -> dict[str, float]:
        """`right_language/ar` ..., and the means over languages as `right_language`; likewise `distinct`, the share of texts
        that are no other's twin; `copied`, the share of their 8-grams that stand in the source; `tokens`; `round_trip@k`."""
        groups: dict[str, list[int]] = defaultdict(list)
        for place, sample in enumerate(samples):
            groups[sample.asked.group].append(place)
        values = {
            "right_language": [float(self.check.is_language(s.text, s.asked.language)) for s in samples],
            "copied": [copied_share(s.text, s.asked.source.text) for s in samples],
            "tokens": [float(s.num_tokens) for s in samples],
        }
        if self.round_trip is not None:
            ranks = self.round_trip.ranks(samples)
            values |= {f"round_trip@{k}": [float(rank <= k) for rank in ranks] for k in CUTOFFS}
        by_group = {name: {g: _mean([of[i] for i in places]) for g, places in groups.items()} for name, of in values.items()}
        by_group["distinct"] = {
            group: len({normalised(samples[i].text) for i in places}) / len(places) for group, places in groups.items()
        }
        return _flat(by_group)


def samples_table(samples: Sequence[GeneratedSample], each: int = 2) -> Table:
    """The first of each language, beside what a person wrote."""
    table = Table(title="Written for dev sources", title_justify="left")
    for column in ("", "source", "written", "a person's"):
        table.add_column(column)
    shown: dict[str, int] = defaultdict(int)
    for sample in sorted(samples, key=lambda sample: sample.asked.group):
        asked = sample.asked
        shown[asked.group] += 1
        if shown[asked.group] <= each:
            source = asked.source.title or asked.source.text
            table.add_row(asked.group, *(escape(text[:120]) for text in (source, sample.text, asked.reference)))
    return table


def _flat(by_group: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    found = {}
    for name, of_group in by_group.items():
        found[name] = _mean(list(of_group.values()))
        found |= {f"{name}/{group}": of_group[group] for group in sorted(of_group)}
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
