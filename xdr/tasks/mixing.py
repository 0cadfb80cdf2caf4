"""Systems of an evaluation, each fused with each run of another tool in compare_to."""

from collections.abc import Mapping
from dataclasses import dataclass

from xdr.errors import UserError
from xdr.noise.noisy_queries import NoisyQueries
from xdr.retrieval.hybrid import Hybrid, fused
from xdr.retrieval.rankings import PassageIds, Rankings


@dataclass(frozen=True)
class Mixing:
    hybrid: Hybrid
    runs: Mapping[str, Rankings]

    @classmethod
    def of(cls, hybrid: Hybrid | None, runs: Mapping[str, Rankings], noisy: NoisyQueries | None) -> "Mixing | None":
        if hybrid is None:
            return None
        if not runs:
            raise UserError("hybrid needs a run to fuse with, in TREC's format: compare_to=['bm25=bm25.trec']")
        if noisy is not None:
            raise UserError("noise must be none with hybrid: runs in compare_to rank the clean queries")
        return cls(hybrid, runs)

    def systems(self, roles: Mapping[str, str]) -> list[str]:
        """`baseline+bm25`, `mean-a0.3+bm25`; controls are not fused."""
        return [name for name, _, _ in self._named(roles)]

    def rankings(self, found: Mapping[str, Rankings], roles: Mapping[str, str], passage_ids: PassageIds) -> dict[str, Rankings]:
        return {
            name: fused(self.hybrid, found[system], self.runs[run], passage_ids) for name, system, run in self._named(roles)
        }

    def _named(self, roles: Mapping[str, str]) -> list[tuple[str, str, str]]:
        systems = [system for system, role in roles.items() if role != "control"]
        return [(f"{system}+{run}", system, run) for run in self.runs for system in systems]
