"""Late interaction in an evaluation: it ranks again what other systems ranked, or all passages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdr.data.passage_store import PassageStore
from xdr.errors import UserError
from xdr.late_interaction.scorer import LateInteraction, load_late_interaction
from xdr.retrieval.rankings import PassageIds, Rankings

LABEL, ALL = "reranked", "late_interaction"


@dataclass(frozen=True)
class Reranking:
    """`all_passages` says that the whole collection is ranked, which gives one system in the place of one for each other."""

    model: LateInteraction
    path: str
    all_passages: bool

    @classmethod
    def by(cls, path: str, all_passages: bool) -> "Reranking":
        try:
            return cls(load_late_interaction(path), path, all_passages)
        except UserError as error:
            raise UserError(f"evaluation.rerank: {error}") from None

    @property
    def described(self) -> str:
        return f"{self.path}, {self.model.fingerprint}"

    def systems(self, others: Sequence[str], baseline: str) -> list[str]:
        """`reranked` of the baseline, `mean-a0.3+reranked` of another system."""
        return [ALL] if self.all_passages else [_name(system, baseline) for system in others]

    def rankings(
        self,
        others: Mapping[str, Rankings],
        baseline: str,
        queries: Sequence[str],
        store: PassageStore,
        depth: int,
        passage_ids: PassageIds,
        device: str,
    ) -> dict[str, Rankings]:
        self.model.encoder.to(device)
        if self.all_passages:
            return {ALL: self.model.search(queries, len(store), depth, store.__getitem__, passage_ids)}
        ranked = self.model.rerank(queries, others, store.__getitem__, passage_ids)
        return {_name(system, baseline): ranking for system, ranking in ranked.items()}


def _name(system: str, baseline: str) -> str:
    return LABEL if system == baseline else f"{system}+{LABEL}"
