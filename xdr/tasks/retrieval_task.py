"""Search, scores and tests over stored embeddings, step by step, as the evaluation callback calls them.

Q queries, K ranks, D dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdr.comparison.controls import compare_with_best_control
from xdr.comparison.noisy import is_noisy, on_equal_noise, version_names, with_noise
from xdr.comparison.robustness import Robustness, drops_by_operator, robustness_of
from xdr.comparison.significance import Comparison, Testing, too_few_samples
from xdr.data.passage_store import PassageStore
from xdr.encoders.encoder import Encoder
from xdr.errors import UserError
from xdr.evaluation.coverage import Coverage
from xdr.evaluation.metric_names import Metric
from xdr.evaluation.per_query import PerQuery
from xdr.evaluation.scoring import Qrels, score_rankings
from xdr.evaluation.texts_coverage import coverage_of_texts, uneven
from xdr.late_interaction.reranking import Reranking
from xdr.noise.noisy_queries import NoisyQueries
from xdr.retrieval.gathering import merge_systems, own_shards, unstacked
from xdr.retrieval.index_search import index_search
from xdr.retrieval.indexes import Index
from xdr.retrieval.rankings import Rankings, write_run
from xdr.retrieval.search import search
from xdr.storage.ledger import ShardLedger
from xdr.tasks.correcting import Correcting, corrected_name
from xdr.tasks.mixing import Mixing
from xdr.tasks.systems import BASELINE, Role, Systems, on_both
from xdr.vectors.controls import OtherPassages, SentenceSums, mean_texts
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family, TextSums, baseline_family, fused_family
from xdr.vectors.fusing import Fusing
from xdr.vectors.fusion import ControlName
from xdr.vectors.layout import Layout, Selection, layout_of


@dataclass
class EvaluationResult:
    """Values by system, query and metric, each system's role, rankings of the clean queries by system, tests, what noise does,
    and sentences that qualify them."""

    systems: Mapping[str, PerQuery]
    roles: Mapping[str, Role]
    rankings: Mapping[str, Rankings]
    comparisons: Sequence[Comparison]
    robustness: Robustness | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RetrievalTask:
    ledger: ShardLedger
    store: PassageStore
    qrels: Qrels
    metrics: Sequence[Metric]
    headline: str
    depth: int
    index: Index | None
    """None: exact search, streamed from disk."""
    fusing: Fusing | None
    """Of the passages."""
    hyde: Fusing | None
    """Of the queries."""
    testing: Testing
    others: Mapping[str, PerQuery]
    """Systems of earlier evaluations."""
    remarks: tuple[str, ...] = ()
    correcting: Correcting | None = None
    chosen: tuple[str, ...] | None = None
    """The systems to report; None: all."""
    chosen_in: str | None = None
    sentences: ShardLedger | None = None
    """The sums of passages' own sentences, for the control."""
    reranking: Reranking | None = None
    noisy: NoisyQueries | None = None
    mixing: Mixing | None = None

    @property
    def query_texts(self) -> list[str]:
        """Of all queries that are searched: the clean ones, then their noisy versions, one after the other."""
        return [query.text for query in self.qrels.queries] + (self.noisy.texts if self.noisy is not None else [])

    @property
    def layout(self) -> Layout:
        return layout_of(self.ledger)

    @property
    def systems(self) -> Systems:
        return Systems(self.fusing, self.hyde, self.correcting, self.reranking, self.mixing, self.chosen)

    @cached_property
    def embeddings(self) -> EmbeddingStore:
        return EmbeddingStore.open(self.ledger.folder)

    def measure_hubness(self, encoder: Encoder, device: str, rank: int, world: int) -> None:
        """What the correction needs of the shards that this process searches."""
        assert self.correcting is not None
        shards = own_shards(self.embeddings.num_shards, rank, world)
        self.correcting.measure(self.embeddings, self.families(), self._selected(), encoder, device, shards)

    def search(self, encoder: Encoder, device: str, rank: int, world: int) -> dict[str, Rankings]:
        """The rankings of each system among the shards that this process searches."""
        shards = own_shards(self.embeddings.num_shards, rank, world)
        if self.index is not None and world > 1:
            raise UserError(
                "trainer.devices must be 1 with an index, and engine.workers too. Set trainer.devices=1 or engine.workers=1, "
                "or search=exact"
            )
        queries_QD = encoder.encode_queries(self.query_texts)
        fused = self.hyde.fused_queries(encoder, queries_QD) if self.hyde is not None else []
        ranked = self.ranked(np.concatenate([queries_QD, *fused]), self.searched_families(), device, shards)
        rankings: dict[str, Rankings] = {}
        for label in self.systems.labels:
            for system in self.systems.on_passages:
                of_system = ranked.get(corrected_name(system, label, BASELINE))
                names = [on_both(system, of_queries) for of_queries in self.systems.on_queries]
                if of_system is not None:  # controls are not corrected
                    rankings |= unstacked(of_system, [corrected_name(name, label, BASELINE) for name in names])
        return {system: rankings[system] for system in self.systems.searched}

    def reranked(self, found: dict[str, Rankings], device: str) -> dict[str, Rankings]:
        """The rankings with those of late interaction."""
        assert self.reranking is not None
        ids, texts = self.embeddings.ids, self.query_texts
        return found | self.reranking.rankings(found, self.systems.searched, texts, self.store, self.depth, ids, device)

    def mixed(self, found: dict[str, Rankings]) -> dict[str, Rankings]:
        """The rankings with those that are fused with runs."""
        assert self.mixing is not None
        return found | self.mixing.rankings(found, self.systems.searched, self.embeddings.ids)

    def families(self) -> list[Family]:
        """The baseline and the fused systems, which a correction can change. Fused queries need no families of their own."""
        if self.fusing is None:
            return [baseline_family()]
        return [baseline_family(), fused_family(self.fusing.fusion, self.fusing.alphas, self._selection())]

    def control_families(self, *, planned: bool = False) -> list[Family]:
        """`planned`: of the stored sums, in place of those that controls read, which may not be there yet."""
        if self.fusing is None or not self.fusing.controls:
            return []
        store, selection = self.embeddings, self._selection()
        texts = {name: selection if planned else self._texts_of(name, store, selection) for name in self.fusing.controls}
        return [fused_family(self.fusing.fusion, self.fusing.alphas, of_control, name) for name, of_control in texts.items()]

    def _texts_of(self, control: ControlName, store: EmbeddingStore, selection: Selection) -> TextSums:
        if control == "other_passages":
            return OtherPassages(store, selection)
        if control == "own_sentences":
            assert self.sentences is not None
            return SentenceSums(EmbeddingStore.open(self.sentences.folder), selection)
        return mean_texts(store, selection, control == "mean_text_by_language", self.ledger.folder / "controls")

    def searched_families(self, *, planned: bool = False) -> list[Family]:
        """All families, with corrected systems."""
        families = self.families()
        if self.correcting is not None:
            families = self.correcting.corrected(self.embeddings, families, self._selected(), BASELINE)
        return [*families, *self.control_families(planned=planned)]

    def ranked(
        self, queries_QD: NDArray[np.float32], families: Sequence[Family], device: str, shards: Sequence[int]
    ) -> dict[str, Rankings]:
        if self.index is not None:
            return index_search(self.embeddings, queries_QD, families, self.depth, index=self.index, device=device)
        return search(self.embeddings, queries_QD, families, self.depth, device=device, shards=shards)

    def merge(self, parts: Sequence[dict[str, Rankings]]) -> dict[str, Rankings]:
        """The rankings over all shards, from those of each process."""
        return merge_systems(parts, self.depth, self.embeddings.ids)

    def answer(self, rankings: dict[str, Rankings]) -> EvaluationResult:
        result = self.scored(rankings)
        return replace(result, warnings=[*self.remarks, *self.warnings(), *result.warnings])

    def scored(self, rankings: dict[str, Rankings]) -> EvaluationResult:
        """The result without warnings about the vectors."""
        num_versions = self.noisy.noise.versions if self.noisy is not None else 0
        parts: dict[str, Rankings] = {}
        for system, ranking in rankings.items():
            parts |= unstacked(ranking, version_names(system, num_versions))
        rankings = {system: parts[system] for system in rankings}
        rows = {name: part.rows_QK for name, part in parts.items()}
        values, warnings = score_rankings(self.qrels, rows, self.metrics, lambda row: self.store[row].text)
        systems = {**with_noise(values, list(rankings), num_versions, self.headline), **self.others}
        generator = np.random.default_rng(self.testing.seed)
        comparisons = []
        noisy = [name for name in systems if is_noisy(name)]
        for others in ([name for name in systems if name not in noisy], [BASELINE, *noisy]):
            for metric in self.metrics if len(others) > 1 else ():
                of_group = {name: systems[name] for name in others}
                comparisons += self.testing.compare(of_group, BASELINE, metric.name, generator)
        for metric in self.metrics:
            comparisons += compare_with_best_control(
                systems,
                self.systems.with_role("augmented"),
                self.systems.with_role("control"),
                metric.name,
                self.testing,
                generator,
            )
        for baseline, group in on_equal_noise(systems, BASELINE):
            for metric in self.metrics:
                comparisons += self.testing.compare(group, baseline, metric.name, generator)
        warnings += too_few_samples(comparisons, self.testing.num_samples)
        roles: dict[str, Role] = {**dict.fromkeys(systems, "earlier"), **self.systems.roles, **dict.fromkeys(noisy, "noisy")}
        robustness = self._robustness(values, systems, generator)
        return EvaluationResult(systems, roles, rankings, comparisons, robustness, warnings)

    def _robustness(
        self, values: Mapping[str, PerQuery], systems: Mapping[str, PerQuery], generator: np.random.Generator
    ) -> Robustness | None:
        """`values` are those of each version."""
        if self.noisy is None:
            return None
        num_versions, operators = self.noisy.noise.versions, self.noisy.operators
        by_operator = {}
        for system in self.systems.roles:
            clean, *versions = (values[name].metric(self.headline) for name in version_names(system, num_versions))
            by_operator[system] = drops_by_operator(clean, versions, operators)
        return robustness_of(systems, BASELINE, self.headline, by_operator, num_versions, self.testing, generator)

    @cached_property
    def coverage(self) -> Coverage | None:
        """How many passages have generated texts; None where texts are not generated for passages."""
        if self.fusing is None:
            return None
        return coverage_of_texts(self.fusing.generated, self.fusing.languages, self.fusing.number, self.qrels)

    def warnings(self) -> list[str]:
        bank = self.correcting.bank if self.correcting is not None else None
        doubts = uneven(self.coverage, bank, self.qrels)
        doubts += self.noisy.remarks() if self.noisy is not None else []
        if self.correcting is not None:
            doubts += self.correcting.correction.remarks(len(self.correcting.bank.texts))
        return [*self._fusion_warnings(), *doubts]

    def _fusion_warnings(self) -> list[str]:
        unit_norms, warnings = self.embeddings.has_unit_norms(), []
        if self.embeddings.are_equal():
            warnings.append("the vectors of passages are all equal, so they rank by id alone. Are these the encoder's weights?")
        if self.fusing is not None:
            counts = self.embeddings.count_range(self._selection())
            warnings += self.fusing.fusion.warnings("passages", counts, unit_norms)
        if self.hyde is not None:
            warnings += self.hyde.fusion.warnings("queries", self.hyde.counts_of_queries(), unit_norms)
        return warnings

    def _selection(self) -> Selection:
        assert self.fusing is not None
        return self.fusing.selection(self.layout)

    def _selected(self) -> tuple[int, ...]:
        return self._selection().groups if self.fusing is not None else ()

    def write_runs(self, rankings: Mapping[str, Rankings], folder: Path) -> None:
        query_ids = [query.query_id for query in self.qrels.queries]
        for system, ranking in rankings.items():
            write_run(folder / f"{system}.trec", query_ids, ranking, self.embeddings.ids, system)
