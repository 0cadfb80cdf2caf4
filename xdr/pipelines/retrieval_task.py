"""Search, score_rankings and test over embeddings that are there: what the evaluation's callback calls, step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.data.passage_store import PassageStore
from xdr.encoders.encoder import Encoder
from xdr.errors import UserError
from xdr.evaluation.metric_names import Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Qrels, score_rankings
from xdr.evaluation.significance import Comparison, Testing, compare_systems, too_few_samples
from xdr.generators.generated_store import GeneratedStore
from xdr.retrieval.embeddings import EmbeddingStore
from xdr.retrieval.families import Family, baseline_family, fused_families
from xdr.retrieval.fusion import Alpha, Fusion, Side, fuse_vectors, system_name
from xdr.retrieval.generated_sums import sum_generated_passages
from xdr.retrieval.index_search import index_search
from xdr.retrieval.indexes import Index
from xdr.retrieval.layout import Layout, Selection, layout_of
from xdr.retrieval.rankings import Rankings, merge_rankings, write_run
from xdr.retrieval.search import search
from xdr.storage.ledger import ShardLedger

BASELINE = "baseline"


@dataclass(frozen=True)
class Fusing:
    """How generated texts are fused: queries into the vectors of passages, or passages into the vectors of queries."""

    fusion: Fusion
    alphas: tuple[Alpha, ...]
    """In ascending order."""
    generated: GeneratedStore
    languages: tuple[str, ...]
    number: int

    @property
    def side(self) -> Side:
        return "queries" if self.generated.made_by.get("direction") == "passage_from_query" else "passages"

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(system_name(self.fusion.name, alpha) for alpha in self.alphas)

    def counts_of_queries(self) -> tuple[int, int]:
        """The least and the greatest number of passages that a query is fused with."""
        most = self.number or None
        numbers = [sum(len(its.texts.get(code, ())[:most]) for code in self.languages) for its in self.generated]
        return min(numbers), max(numbers)


@dataclass
class Answer:
    """What an evaluation found."""

    systems: Mapping[str, PerQuery]
    rankings: Mapping[str, Rankings]
    comparisons: Sequence[Comparison]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RetrievalTask:
    ledger: ShardLedger
    store: PassageStore
    qrels: Qrels
    metrics: Sequence[Metric]
    depth: int
    index: Index | None
    """None: exact, streaming."""
    fusing: Fusing | None
    testing: Testing
    others: Mapping[str, PerQuery]
    """Systems of earlier evaluations."""
    remarks: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout:
        return layout_of(self.ledger)

    @cached_property
    def embeddings(self) -> EmbeddingStore:
        return EmbeddingStore.open(self.ledger.folder)

    def search(self, encoder: Encoder, device: str, rank: int, world: int) -> dict[str, Rankings]:
        """In this process's shards."""
        shards = own_shards(self.embeddings.num_shards, rank, world)
        if self.index is not None and world > 1:
            raise UserError("trainer.devices must be 1 with an index. Set trainer.devices=1, or search=exact")
        queries_QD = encoder.encode_queries([query.text for query in self.qrels.queries])
        if self.fusing is not None and self.fuses_queries:
            stacked = np.concatenate([queries_QD, *_fused_queries(encoder, self.fusing, queries_QD)])
            return _unstacked(self.ranked(stacked, self.families(), device, shards)[BASELINE], self.systems)
        return self.ranked(queries_QD, self.families(), device, shards)

    @property
    def fuses_queries(self) -> bool:
        return self.fusing is not None and self.fusing.side == "queries"

    @property
    def systems(self) -> tuple[str, ...]:
        return (BASELINE, *(self.fusing.systems if self.fusing is not None else ()))

    def families(self) -> list[Family]:
        """Fused queries are searched for as others are."""
        if self.fusing is None or self.fuses_queries:
            return [baseline_family()]
        return [baseline_family(), *fused_families(self.fusing.fusion, self.fusing.alphas, self._selection())]

    def ranked(
        self, queries_QD: NDArray[np.float32], families: Sequence[Family], device: str, shards: Sequence[int]
    ) -> dict[str, Rankings]:
        if self.index is not None:
            return index_search(self.embeddings, queries_QD, families, self.depth, index=self.index, device=device)
        return search(self.embeddings, queries_QD, families, self.depth, device=device, shards=shards)

    def merge(self, parts: Sequence[dict[str, Rankings]]) -> dict[str, Rankings]:
        """Of all processes."""
        if len(parts) == 1:
            return parts[0]
        ids = self.embeddings.ids
        return {system: merge_rankings([part[system] for part in parts], self.depth, ids) for system in parts[0]}

    def answer(self, rankings: dict[str, Rankings]) -> Answer:
        found = self.scored(rankings)
        return replace(found, warnings=[*self.remarks, *self.warnings(), *found.warnings])

    def scored(self, rankings: dict[str, Rankings]) -> Answer:
        """Without what there is to say about the vectors."""
        rows = {system: found.rows_QK for system, found in rankings.items()}
        systems, warnings = score_rankings(self.qrels, rows, self.metrics, lambda row: self.store[row].text)
        systems |= self.others
        generator = np.random.default_rng(self.testing.seed)
        comparisons = []
        if len(systems) > 1:
            for metric in self.metrics:
                comparisons += compare_systems(
                    systems,
                    BASELINE,
                    metric.name,
                    num_samples=self.testing.num_samples,
                    confidence=self.testing.confidence,
                    generator=generator,
                )
        warnings += too_few_samples(comparisons, self.testing.num_samples)
        return Answer(systems, rankings, comparisons, warnings)

    def warnings(self) -> list[str]:
        if self.fusing is None:
            return []
        on_queries = self.fusing.side == "queries"
        counts = self.fusing.counts_of_queries() if on_queries else self.embeddings.count_range(self._selection())
        return self.fusing.fusion.warnings(self.fusing.side, counts, self.embeddings.has_unit_norms())

    def _selection(self) -> Selection:
        """Of the sums that are kept, those of the languages and numbers that are wanted."""
        assert self.fusing is not None
        layout = self.layout
        languages = None if layout.keep == "total" else self.fusing.languages
        return layout.select(languages, (self.fusing.number or None) if layout.keep == "count" else None)

    def write_runs(self, rankings: Mapping[str, Rankings], folder: Path) -> None:
        query_ids = [query.query_id for query in self.qrels.queries]
        for system, found in rankings.items():
            write_run(folder / f"{system}.trec", query_ids, found, self.embeddings.ids, system)


def own_shards(num_shards: int, rank: int, world: int) -> range:
    """Those that one of several processes searches."""
    return range(rank, num_shards, world)


def _fused_queries(encoder: Encoder, fusing: Fusing, queries_QD: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """For each alpha, the queries' vectors with those of the passages that were written for them."""
    layout = Layout(queries_QD.shape[1], "total", fusing.languages)
    sums_1QD, counts_1Q = sum_generated_passages(encoder, list(fusing.generated), layout, fusing.number)
    parts = (torch.from_numpy(queries_QD), torch.from_numpy(sums_1QD[0]), torch.from_numpy(counts_1Q[0]))
    return [fuse_vectors(fusing.fusion, *parts, alpha).numpy() for alpha in fusing.alphas]


def _unstacked(found: Rankings, systems: Sequence[str]) -> dict[str, Rankings]:
    """Of queries that stood one system after the other."""
    parts = zip(np.split(found.scores_QK, len(systems)), np.split(found.rows_QK, len(systems)), strict=True)
    return {system: Rankings(*part) for system, part in zip(systems, parts, strict=True)}


def gather_rankings(
    own: dict[str, Rankings], depth: int, gather: Callable[[torch.Tensor], torch.Tensor]
) -> list[dict[str, Rankings]]:
    """Everybody's, from `gather`, which stacks a tensor of equal shape from each process. A process whose shards hold fewer
    than `depth` rows fills up with scores that no passage has."""
    parts: list[dict[str, Rankings]] = []
    for system, found in own.items():
        missing = depth - found.scores_QK.shape[1]
        scores_QK = np.pad(found.scores_QK, ((0, 0), (0, missing)), constant_values=-np.inf)
        rows_QK = np.pad(found.rows_QK, ((0, 0), (0, missing)))
        all_scores, all_rows = gather(torch.from_numpy(scores_QK)), gather(torch.from_numpy(rows_QK))
        for place, (scores, rows) in enumerate(zip(all_scores.cpu().numpy(), all_rows.cpu().numpy(), strict=True)):
            if place == len(parts):
                parts.append({})
            parts[place][system] = Rankings(scores, rows)
    return parts


def require_languages_of(generated: GeneratedStore, languages: Sequence[str]) -> tuple[str, ...]:
    if unknown := [code for code in languages if code not in generated.languages]:
        raise UserError(
            f"augmentation.languages names '{unknown[0]}', and the texts in {generated.folder} are in "
            f"{' '.join(generated.languages)}"
        )
    return tuple(languages) or generated.languages
