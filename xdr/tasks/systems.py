"""The systems of an evaluation: which there are, what each is, and how they are named."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from xdr.late_interaction.reranking import Reranking
from xdr.tasks.correcting import Correcting, corrected_name
from xdr.tasks.mixing import Mixing
from xdr.vectors.fusing import Fusing
from xdr.vectors.fusion import both_name

BASELINE = "baseline"
Role: TypeAlias = Literal["baseline", "augmented", "control", "reranked", "hybrid", "noisy", "earlier"]
"""Of a system. A control is fused with something else than the texts of its passage. A hybrid is fused with a run of
another tool. A noisy system is one on noisy queries. `compare_to` names earlier systems."""


@dataclass(frozen=True)
class Systems:
    """Those that come of fusing into passages and into queries, of corrections, of reranking and of runs. `chosen` are those
    to report (None: all)."""

    fusing: Fusing | None
    hyde: Fusing | None
    correcting: Correcting | None
    reranking: Reranking | None
    mixing: Mixing | None
    chosen: tuple[str, ...] | None

    @property
    def on_passages(self) -> dict[str, Role]:
        """Those with the queries as they are."""
        roles: dict[str, Role] = {BASELINE: "baseline"}
        if self.fusing is not None:
            roles |= dict.fromkeys(self.fusing.systems, "augmented")
            roles |= dict.fromkeys(self.fusing.control_systems, "control")
        return roles

    @property
    def on_queries(self) -> tuple[str, ...]:
        """The baseline, and the systems that differ from it in their queries alone."""
        return BASELINE, *(self.hyde.systems if self.hyde is not None else ())

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the corrections, after that of none."""
        return "", *(self.correcting.labels if self.correcting is not None else ())

    @property
    def uncorrected(self) -> dict[str, Role]:
        """Those that are searched, in their order, without the corrected ones."""
        roles = self.on_passages
        fused = self.fusing.systems if self.fusing is not None else ()
        for of_queries in self.on_queries[1:]:
            roles |= {on_both(system, of_queries): "augmented" for system in (BASELINE, *fused)}
        return roles

    @property
    def searched(self) -> dict[str, Role]:
        """Those that are not reranked. Controls are not corrected; a corrected baseline is a control."""
        roles = dict(self.uncorrected)
        for system, role in self.uncorrected.items():
            for label in self.labels[1:] if role != "control" else ():
                roles[corrected_name(system, label, BASELINE)] = "control" if role == "baseline" else role
        return {system: role for system, role in roles.items() if self.chosen is None or system in self.chosen}

    @property
    def roles(self) -> dict[str, Role]:
        """Of those that are reported, in their order."""
        reranked = [] if self.reranking is None else self.reranking.systems(self.searched)
        hybrid = [] if self.mixing is None else self.mixing.systems(self.searched)
        return {**self.searched, **dict.fromkeys(reranked, "reranked"), **dict.fromkeys(hybrid, "hybrid")}

    def with_role(self, role: Role) -> tuple[str, ...]:
        return tuple(system for system, of_system in self.roles.items() if of_system == role)


def on_both(system: str, of_queries: str) -> str:
    """The name of a system with fused passages and fused queries; either may be the baseline."""
    if BASELINE in (system, of_queries):
        return of_queries if system == BASELINE else system
    return both_name(system, of_queries)
