"""Scales and offsets by row, beside a search that is written out with numpy in float64."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.vectors.test_embeddings import store_of
from xdr.retrieval.index_search import index_search
from xdr.retrieval.indexes import Flat
from xdr.retrieval.rankings import Rankings
from xdr.retrieval.search import search
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family, Offset, baseline_family, fused_family, line_norms
from xdr.vectors.fusion import FUSIONS

ALPHAS = [0.0, 0.2, 0.5, 0.9, 1.0]
STRENGTHS = [0.5, 2.0]


def with_penalties(family: Family, name: str, strengths: list[float], penalty_N: NDArray) -> Family:
    """The systems of a family, and each of them with each strength."""
    pairs = [(place, strength) for place in range(len(family.systems)) for strength in strengths]
    return replace(
        family,
        systems=family.systems + tuple(f"{family.systems[place]}-{name}{strength:g}" for place, strength in pairs),
        weights=family.weights + tuple(family.weights[place] for place, _ in pairs),
        offsets=(None,) * len(family.systems) + tuple(Offset(penalty_N, -strength) for _, strength in pairs),
    )


def systems(store: EmbeddingStore, penalty_N: NDArray) -> list[Family]:
    found = [baseline_family()]
    for name in ("sum", "mean", "unit_mean", "unit_of_mean"):
        found.append(fused_family(FUSIONS[name], ALPHAS, store.layout.select()))
    return [with_penalties(family, "hub", STRENGTHS, penalty_N) for family in found]


def scored_by_numpy(parts: tuple[NDArray, NDArray, NDArray, NDArray], queries_QD: NDArray, system: str) -> NDArray[np.float32]:
    passages_ND, sums_ND, counts_N, penalty_N = (part.astype(np.float64) for part in parts)
    name, _, strength = system.partition("-hub")
    fusion, _, alpha = name.partition("-a")
    means_ND = np.where(counts_N[:, None] > 0, sums_ND / np.maximum(counts_N, 1)[:, None], passages_ND)
    u_ND, v_ND = {
        "baseline": (passages_ND, passages_ND),
        "sum": (passages_ND, sums_ND),
        "mean": (passages_ND, means_ND),
        "unit_mean": (unit(passages_ND), np.where(counts_N[:, None] > 0, unit(sums_ND), unit(passages_ND))),
        "unit_of_mean": (unit(passages_ND), np.where(counts_N[:, None] > 0, means_ND, unit(passages_ND))),
    }[fusion]
    weight = float(alpha or 0)
    fused_ND = (1 - weight) * u_ND + weight * v_ND
    fused_ND = unit(fused_ND) if fusion.startswith("unit") else fused_ND
    scores_QN: NDArray = queries_QD.astype(np.float64) @ fused_ND.T - float(strength or 0) * penalty_N
    return scores_QN.astype(np.float32)


def unit(vectors_ND: NDArray) -> NDArray:
    norms_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.where(norms_N1 > 0, norms_N1, 1))


def assert_ranked(found: Rankings, scores_QN: NDArray[np.float32], system: str, tolerance: float) -> None:
    """The same scores rank by rank, each row with its own score. Scores that differ by rounding may change places."""
    wanted_QK = -np.sort(-scores_QN, axis=1)[:, : found.scores_QK.shape[1]]
    if tolerance == 0:
        rows_QK = np.argsort(-scores_QN, axis=1, kind="stable")[:, : found.scores_QK.shape[1]]
        np.testing.assert_array_equal(found.rows_QK, rows_QK, system)
    np.testing.assert_allclose(found.scores_QK, wanted_QK, rtol=tolerance, atol=tolerance, err_msg=system)
    placed_QK = np.take_along_axis(scores_QN, found.rows_QK, axis=1)
    np.testing.assert_allclose(placed_QK, wanted_QK, rtol=tolerance, atol=tolerance, err_msg=system)
    assert all(len(set(rows_K)) == len(rows_K) for rows_K in found.rows_QK.tolist())


def whole_numbers(rng: np.random.Generator, num_rows: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Ties everywhere: small whole numbers, copies, zero vectors, sums that cancel their passages, rows without texts."""
    passages_ND, sums_ND = rng.integers(-2, 3, (2, num_rows, 6))
    sums_ND[: num_rows // 4] = -passages_ND[: num_rows // 4]
    passages_ND[::7] = 0
    sums_ND[::5] = 0
    copies, originals = rng.choice(num_rows, (2, num_rows // 3))
    passages_ND[copies], sums_ND[copies] = passages_ND[originals], sums_ND[originals]
    counts_N = np.where((sums_ND != 0).any(axis=1), 2, 0)
    return passages_ND, sums_ND, counts_N, rng.integers(-3, 4, num_rows)


def normal(rng: np.random.Generator, num_rows: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    passages_ND, sums_ND = rng.standard_normal((2, num_rows, 6)).astype(np.float16)
    return passages_ND, sums_ND, rng.integers(0, 4, num_rows) * 1, rng.standard_normal(num_rows)


@pytest.mark.parametrize("make", [whole_numbers, normal])
@pytest.mark.parametrize("factor", [1, 10**6, 10**-6])
@pytest.mark.parametrize("screening", [torch.float32, torch.float16])
def test_scales_and_offsets_rank_as_float64_does(tmp_path: Path, make: object, factor: float, screening: torch.dtype) -> None:
    rng = np.random.default_rng(7)
    passages_ND, sums_ND, counts_N, penalty_N = make(rng, 700)  # type: ignore[operator]
    penalty_N = penalty_N * factor
    sums_ND = np.where(counts_N[:, None] > 0, sums_ND, 0)
    store = store_of(tmp_path, passages_ND, None, sums_ND[None], counts_N[None], num_shards=3)
    queries_QD = rng.integers(-3, 4, (19, 6)).astype(np.float32)
    queries_QD[3], queries_QD[4], queries_QD[5] = 0, queries_QD[4] * 1e-4, queries_QD[5] * 1e4
    found = search(store, queries_QD, systems(store, penalty_N), 20, block_rows=90, tile_queries=8, screening=screening)
    assert len(found) == 3 * (1 + 4 * len(ALPHAS))
    for system, rankings in found.items():
        exact = system.startswith(("baseline", "sum")) and make is whole_numbers and factor == 1
        scores_QN = scored_by_numpy((passages_ND, sums_ND, counts_N, penalty_N), queries_QD, system)
        for query, scores_N in enumerate(scores_QN):
            one = Rankings(rankings.scores_QK[query : query + 1], rankings.rows_QK[query : query + 1])
            largest = float(np.abs(scores_N).max())
            assert_ranked(one, scores_N[None], system, 0 if exact and query not in (4, 5) else 3e-7 * max(largest, 1e-30))


def test_a_penalty_by_hand(tmp_path: Path) -> None:
    """Scores 3, 2, 2. With strength 1/2 and penalties 4, 0, 1: 1, 2, 1.5."""
    store = store_of(tmp_path, np.array([[3.0], [2.0], [2.0]]))
    family = with_penalties(baseline_family(), "csls", [0.5], np.array([4, 0, 1], np.float32))
    found = search(store, np.array([[1.0]]), [family], 3)
    assert list(found) == ["baseline", "baseline-csls0.5"]
    assert found["baseline"].rows_QK.tolist() == [[0, 1, 2]]
    assert found["baseline-csls0.5"].rows_QK.tolist() == [[1, 2, 0]]
    assert found["baseline-csls0.5"].scores_QK.tolist() == [[2.0, 1.5, 1.0]]


def test_an_index_has_the_offset_as_one_more_dimension(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    passages_ND, sums_ND, counts_N, penalty_N = normal(rng, 400)
    store = store_of(tmp_path / "store", passages_ND, None, sums_ND[None], counts_N[None], num_shards=2)
    np.save(tmp_path / "penalty.npy", penalty_N)
    mapped_N = np.load(tmp_path / "penalty.npy", mmap_mode="r")
    queries_QD = rng.standard_normal((9, 6)).astype(np.float32)
    expected = search(store, queries_QD, systems(store, penalty_N), 20)
    for system, rankings in index_search(store, queries_QD, systems(store, mapped_N), 20, index=Flat()).items():
        np.testing.assert_array_equal(rankings.rows_QK, expected[system].rows_QK, system)
        np.testing.assert_array_equal(rankings.scores_QK, expected[system].scores_QK, system)


def test_norms_on_a_line_also_where_both_ends_cancel() -> None:
    """(1, 0) and (-1, e): at 1/2 only e/2 is left, which the squares of both norms would drown."""
    u_ND, v_ND = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), torch.tensor([[-1.0, 2.0**-30], [3.0, 4.0], [0.0, 0.0]])
    assert line_norms(u_ND, v_ND, [0.5]).tolist() == [[2.0**-31, 5.0, 1.0]]


def test_an_offset_reads_only_the_rows_of_a_block() -> None:
    offset = Offset(np.arange(10, dtype=np.float32), -2.0)
    assert offset.at(slice(3, 5)).tolist() == [-6, -8]
    assert offset.at(np.array([9, 0])).tolist() == [-18, 0]
