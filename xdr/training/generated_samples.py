"""Texts sampled for some dev sources at each validation, and metrics of them.

P: passages. D: dimension.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from rich.markup import escape
from rich.table import Table
from torch import nn

from xdr.encoders.encoder_folder import is_encoder_folder, load_encoder_folder
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.evaluation.pool_ranks import relevant_ranks_in_pool
from xdr.evaluation.ranking_metrics import success
from xdr.generators.generator import Generator, Request
from xdr.generators.generator_folder import AnyGenerator, AnyTokenizer
from xdr.generators.settings import GenerationSettings, Sampling
from xdr.text.identification import LanguageCheck
from xdr.text.records import Passage
from xdr.training.generator_data import Target
from xdr.writing.huggingface_backend import open_in_process
from xdr.writing.quality import copied_share, normalised

CUTOFFS = (1, 10)
"""Of the round trip."""

_BATCH_SIZE = 256
_PROMPTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class GeneratedSample:
    """`target` holds the source and the text that a person wrote."""

    target: Target
    text: str
    num_tokens: int


@dataclass(frozen=True)
class RoundTrip:
    """Whether a generated query finds the passage that it was generated from, in a pool of passages."""

    encoder: nn.Module
    tokenizer: TextTokenizer
    pool: Sequence[Passage]

    @classmethod
    def of(cls, folder: str, targets: Sequence[Target]) -> "RoundTrip":
        """`folder` holds an encoder; the pool is the sources of all targets."""
        if not is_encoder_folder(Path(folder)):
            raise UserError(
                f"callbacks.validation.round_trip must be an encoder folder, got {folder}, which is no encoder's folder. "
                "train.py leaves one as encoder/"
            )
        encoder, tokenizer = load_encoder_folder(Path(folder))
        pool = {target.source.passage_id: target.source for target in targets}
        return cls(encoder.eval(), tokenizer, list(pool.values()))

    @torch.inference_mode()
    def success(self, samples: Sequence[GeneratedSample], cutoffs: Sequence[int]) -> dict[int, list[float]]:
        """success@k of each sample."""
        row_of = {passage.passage_id: row for row, passage in enumerate(self.pool)}
        starts = range(0, len(self.pool), _BATCH_SIZE)
        passages_PD = torch.cat([self.encoder(self.tokenizer.passages(self.pool[i : i + _BATCH_SIZE])) for i in starts])
        texts = [sample.text for sample in samples]
        starts = range(0, len(texts), _BATCH_SIZE)
        queries_QD = torch.cat([self.encoder(self.tokenizer.queries(texts[i : i + _BATCH_SIZE])) for i in starts])
        relevant = [[row_of[sample.target.source.passage_id]] for sample in samples]
        ranked = relevant_ranks_in_pool(queries_QD, passages_PD, relevant)
        return {cutoff: success(ranked, cutoff).tolist() for cutoff in cutoffs}


@dataclass(frozen=True)
class SampleCheck:
    """Samples one text for each target, with the same random numbers at every validation and in every process."""

    targets: Sequence[Target]
    tokenizer: AnyTokenizer
    sampling: Sampling
    check: LanguageCheck
    seed: int
    round_trip: RoundTrip | None = None

    def draw(self, generator: AnyGenerator) -> list[GeneratedSample]:
        """Torch's own random numbers are not used up."""
        devices = [generator.model.device] if generator.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            writer = open_in_process(generator, self.tokenizer, self.sampling, self._settings())
            writer.begin(self.seed)
            by_language: dict[str, list[Target]] = defaultdict(list)
            for target in self.targets:
                by_language[target.language].append(target)
            return [sample for targets in by_language.values() for sample in self._drawn(writer, targets)]

    def _settings(self) -> GenerationSettings:
        task = self.tokenizer.task
        languages = tuple(sorted({target.language for target in self.targets}))
        budget = _PROMPTS_AT_ONCE * (task.input_length + self.sampling.output_length)
        return GenerationSettings(languages, 1, task.input_length, 0, budget, self.seed)

    def _drawn(self, writer: Generator, targets: Sequence[Target]) -> list[GeneratedSample]:
        template = self.tokenizer.task.template
        requests = [Request(template, target.source, target.language, 1) for target in targets]
        written = {place: reply.texts[0] for place, reply in writer.write(requests)}
        return [GeneratedSample(target, *written[place][:2]) for place, target in enumerate(targets)]

    def metrics(self, samples: Sequence[GeneratedSample]) -> dict[str, float]:
        """`right_language`, the share of texts in the wanted language; `distinct`, the number of different texts over that of
        all; `copied`, the share of 8-grams that the source has too; `tokens`; and `round_trip@k`. Each is a mean over query
        languages, with `right_language/ar` ... for each language."""
        values = {
            "right_language": [float(self.check.is_language(s.text, s.target.language)) for s in samples],
            "copied": [copied_share(s.text, s.target.source.text) for s in samples],
            "tokens": [float(s.num_tokens) for s in samples],
        }
        if self.round_trip is not None:
            values |= {f"round_trip@{k}": shares for k, shares in self.round_trip.success(samples, CUTOFFS).items()}
        rows: dict[str, list[int]] = defaultdict(list)
        for row, sample in enumerate(samples):
            rows[sample.target.query_language].append(row)
        by_language = {
            name: {language: fmean(of_sample[row] for row in rows[language]) for language in rows}
            for name, of_sample in values.items()
        }
        by_language["distinct"] = {
            language: len({normalised(samples[row].text) for row in own}) / len(own) for language, own in rows.items()
        }
        return _with_means(by_language)


def first_of_each_language(targets: Sequence[Target], number: int) -> list[Target]:
    taken: Counter[str] = Counter()
    chosen = []
    for target in targets:
        taken[target.query_language] += 1
        if taken[target.query_language] <= number:
            chosen.append(target)
    return chosen


def samples_table(samples: Sequence[GeneratedSample], per_language: int = 2) -> Table:
    """The first samples of each query language, beside the text that a person wrote."""
    table = Table(title="Generated for dev sources", title_justify="left")
    for column in ("", "source", "generated", "by a person"):
        table.add_column(column)
    shown: Counter[str] = Counter()
    for sample in sorted(samples, key=lambda sample: sample.target.query_language):
        target = sample.target
        shown[target.query_language] += 1
        if shown[target.query_language] <= per_language:
            source = target.source.title or target.source.text
            table.add_row(target.query_language, *map(_cell, (source, sample.text, target.text)))
    return table


def _cell(text: str) -> str:
    """Without what a terminal or rich would take as a command."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text[:120]))


def _with_means(by_language: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    metrics = {}
    for name, values in by_language.items():
        metrics[name] = fmean(values.values())
        metrics |= {f"{name}/{language}": values[language] for language in sorted(values)}
    return metrics
