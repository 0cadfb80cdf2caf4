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
    def by(cls, path: str | None, all_passages: bool) -> "Reranking | None":
        """As the settings of an evaluation say."""
        if path is None:
            if all_passages:
                raise UserError("evaluation.rerank_all must be false without evaluation.rerank, got true")
            return None
        try:
            return cls(load_late_interaction(path), path, all_passages)
        except UserError as error:
            raise UserError(f"evaluation.rerank: {error}") from None

    @property
    def described(self) -> str:
        return f"{self.path}, {self.model.fingerprint}"

    def systems(self, roles: Mapping[str, str]) -> list[str]:
        """`reranked` of the baseline, `mean-a0.3+reranked` of another system; controls are not reranked. `roles` are those of
        the systems that were searched."""
        return [ALL] if self.all_passages else list(_names(roles).values())

    def rankings(
        self,
        found: Mapping[str, Rankings],
        roles: Mapping[str, str],
        queries: Sequence[str],
        store: PassageStore,
        depth: int,
        passage_ids: PassageIds,
        device: str,
    ) -> dict[str, Rankings]:
        self.model.encoder.to(device)
        if self.all_passages:
            return {ALL: self.model.search(queries, len(store), depth, store.__getitem__, passage_ids)}
        names = _names(roles)
        return self.model.rerank(queries, {names[system]: found[system] for system in names}, store.__getitem__, passage_ids)


def _names(roles: Mapping[str, str]) -> dict[str, str]:
    """The reranked system of each."""
    return {system: LABEL if role == "baseline" else f"{system}+{LABEL}" for system, role in roles.items() if role != "control"}
