"""Search, score and test over embeddings that are there: what the evaluation's callback calls, step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.augmentation.encoding import Encoders
from xdr.augmentation.fusion import Fusion, baseline_family, fuse, fused_families, fusion_warnings, require_alphas, system_name
from xdr.augmentation.generated_store import GeneratedStore
from xdr.data.passage_store import PassageStore
from xdr.errors import UserError
from xdr.evaluation.metric_names import Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Gold, score
from xdr.evaluation.significance import Comparison, Testing, compare_systems
from xdr.models.encoding import encode_companions
from xdr.retrieval.embeddings import EmbeddingStore, Selection
from xdr.retrieval.faiss_search import Index, faiss_search
from xdr.retrieval.rankings import Rankings, merge_rankings, write_run
from xdr.retrieval.search import search
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Passage

BASELINE = "baseline"


@dataclass(frozen=True)
class Fusing:
    """How companions are fused, on the side of the passages (their questions) or of the queries (passages written for them)."""

    fusion: Fusion
    alphas: tuple[float, ...]
    companions: GeneratedStore
    languages: tuple[str, ...]
    number: int

    @property
    def side(self) -> str:
        return "queries" if self.companions.made_by.get("direction") == "passage_from_query" else "passages"


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
    gold: Gold
    metrics: Sequence[Metric]
    depth: int
    index: Index | None
    """None: exact, streaming."""
    fusing: Fusing | None
    testing: Testing
    others: Mapping[str, PerQuery]
    """Systems of earlier evaluations."""
    remarks: tuple[str, ...] = ()

    @cached_property
    def embeddings(self) -> EmbeddingStore:
        return EmbeddingStore.open(self.ledger.folder)

    def search(self, encoders: Encoders, device: str, rank: int, world: int) -> dict[str, Rankings]:
        """In this process's shards."""
        shards = list(range(rank, self.embeddings.num_shards, world))
        if self.index is not None and world > 1:
            raise UserError("search.index=faiss is built in one process; set trainer.devices=1, or search.index=exact")
        queries_QD = encoders.encode_queries([query.text for query in self.gold.queries])
        families = [baseline_family()]
        if self.fusing is not None and self.fusing.side == "passages":
            families += fused_families(self.fusing.fusion, self.fusing.alphas, self._selection())
        if self.fusing is not None and self.fusing.side == "queries":
            return self._with_fused_queries(encoders, queries_QD, device, shards)
        if self.index is not None:
            return faiss_search(self.embeddings, queries_QD, families, self.depth, index=self.index, device=device)
        return search(self.embeddings, queries_QD, families, self.depth, device=device, shards=shards)

    def _with_fused_queries(
        self, encoders: Encoders, queries_QD: NDArray[np.float32], device: str, shards: Sequence[int]
    ) -> dict[str, Rankings]:
        """Queries of all systems share one pass over the passages."""
        assert self.fusing is not None
        sums_QD, counts_Q = _written_passages(encoders, self.fusing, queries_QD.shape[1])
        names = [
            BASELINE,
            *(system_name(self.fusing.fusion, alpha) for alpha in require_alphas(self.fusing.fusion, self.fusing.alphas)),
        ]
        plain_QD = torch.from_numpy(queries_QD)
        fused = [fuse(self.fusing.fusion, plain_QD, sums_QD, counts_Q, alpha).numpy() for alpha in sorted(self.fusing.alphas)]
        stacked = np.concatenate([queries_QD, *fused])
        found = search(self.embeddings, stacked, [baseline_family()], self.depth, device=device, shards=shards)[BASELINE]
        number = len(queries_QD)
        return {
            name: Rankings(
                found.scores_QK[place * number : (place + 1) * number], found.rows_QK[place * number : (place + 1) * number]
            )
            for place, name in enumerate(names)
        }

    def merge(self, parts: Sequence[dict[str, Rankings]]) -> dict[str, Rankings]:
        """Of all processes."""
        if len(parts) == 1:
            return parts[0]
        ids = self.embeddings.ids
        return {system: merge_rankings([part[system] for part in parts], self.depth, ids) for system in parts[0]}

    def answer(self, rankings: dict[str, Rankings]) -> Answer:
        lists = {system: found.rows_QK.tolist() for system, found in rankings.items()}
        systems, warnings = score(self.gold, lists, self.metrics, lambda row: self.store[row].text)
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
        return Answer(systems, rankings, comparisons, [*self.remarks, *self.warnings(), *warnings])

    def warnings(self) -> list[str]:
        if self.fusing is None:
            return []
        on_passages = self.fusing.side == "passages"
        counts = self.embeddings.count_range(self._selection()) if on_passages else self._counts_of_queries()
        return fusion_warnings(
            self.fusing.fusion,
            side="passages" if on_passages else "queries",
            companions="generated_queries" if on_passages else "generated_passages",
            counts=counts,
            unit_norms=self.embeddings.has_unit_norms(),
        )

    def _selection(self) -> Selection:
        """Of the sums that are kept, those of the languages and numbers that are wanted."""
        assert self.fusing is not None
        layout = self.embeddings.layout
        languages = None if layout.keep == "total" else self.fusing.languages
        return layout.select(languages, (self.fusing.number or None) if layout.keep == "count" else None)

    def _counts_of_queries(self) -> tuple[int, int]:
        assert self.fusing is not None
        numbers = [sum(map(len, text.texts.values())) for text in self.fusing.companions]
        return min(numbers), max(numbers)

    def write_runs(self, rankings: Mapping[str, Rankings], folder: Path) -> None:
        query_ids = [query.query_id for query in self.gold.queries]
        for system, found in rankings.items():
            write_run(folder / f"{system}.trec", query_ids, found, self.embeddings.ids, system)


def _written_passages(encoders: Encoders, fusing: Fusing, dimension: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(sums_QD, counts_Q) of the vectors of the passages that were written for each query."""
    texts = [
        [text for language in fusing.languages for text in its.texts.get(language, ())[: fusing.number or None]]
        for its in fusing.companions
    ]
    owners = torch.tensor([row for row, its in enumerate(texts) for _ in its], dtype=torch.long)
    flat = [Passage("", "", text) for its in texts for text in its]
    counts_Q = torch.tensor([len(its) for its in texts])
    if not flat:
        return torch.zeros(len(texts), dimension), counts_Q
    sums_1QD = encode_companions(
        encoders.passages,
        encoders.reader.passages(flat),
        owners,
        torch.zeros_like(owners),
        len(texts),
        1,
        encoders.tokens_per_batch,
    )
    return sums_1QD[0], counts_Q


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
