"""Rankings that were made together or apart: by several processes, or of several lists of queries in one search.

Q queries, K ranks.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from xdr.retrieval.rankings import PassageIds, Rankings, merge_rankings


def own_shards(num_shards: int, rank: int, world: int) -> range:
    """The shards that process `rank` of `world` searches."""
    return range(rank, num_shards, world)


def gather_rankings(
    own: dict[str, Rankings], depth: int, gather: Callable[[torch.Tensor], torch.Tensor]
) -> list[dict[str, Rankings]]:
    """The rankings of all processes. `gather` stacks a tensor of equal shape from each process, so rankings shorter than
    `depth` are padded with scores of -inf."""
    parts: list[dict[str, Rankings]] = []
    for system, ranking in own.items():
        missing = depth - ranking.scores_QK.shape[1]
        scores_QK = np.pad(ranking.scores_QK, ((0, 0), (0, missing)), constant_values=-np.inf)
        rows_QK = np.pad(ranking.rows_QK, ((0, 0), (0, missing)))
        all_scores, all_rows = gather(torch.from_numpy(scores_QK)), gather(torch.from_numpy(rows_QK))
        for place, (scores, rows) in enumerate(zip(all_scores.cpu().numpy(), all_rows.cpu().numpy(), strict=True)):
            if place == len(parts):
                parts.append({})
            parts[place][system] = Rankings(scores, rows)
    return parts


def merge_systems(parts: Sequence[dict[str, Rankings]], depth: int, passage_ids: PassageIds) -> dict[str, Rankings]:
    """The rankings of each system over all shards, from those of each process."""
    if len(parts) == 1:
        return parts[0]
    return {system: merge_rankings([part[system] for part in parts], depth, passage_ids) for system in parts[0]}


def unstacked(rankings: Rankings, systems: Sequence[str]) -> dict[str, Rankings]:
    """Rankings by system, from those of all systems' queries in one list, one system after the other."""
    parts = zip(np.split(rankings.scores_QK, len(systems)), np.split(rankings.rows_QK, len(systems)), strict=True)
    return {system: Rankings(*part) for system, part in zip(systems, parts, strict=True)}
