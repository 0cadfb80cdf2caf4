import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.vectors.test_embeddings import store_of
from xdr.errors import UserError
from xdr.retrieval.exact_scores import exact_products
from xdr.retrieval.rankings import Rankings, merge_rankings
from xdr.retrieval.search import search
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family, baseline_family, fused_family
from xdr.vectors.fusion import FUSIONS
from xdr.vectors.layout import Layout

ALPHAS = [0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0]


def collection(folder: Path, num_rows: int, dimension: int, *, seed: int = 0, num_shards: int = 3) -> EmbeddingStore:
    """Small whole numbers, a third of the rows a copy of another, ids in random order: ties everywhere. A sixth has no
    generated texts, others one to nine in each of two languages."""
    rng = np.random.default_rng(seed)
    passages_ND = rng.integers(-2, 3, (num_rows, dimension)).astype(np.float32)
    sums_GND = rng.integers(-4, 5, (2, num_rows, dimension)).astype(np.float32)
    counts_GN = rng.integers(1, 10, (2, num_rows))
    without = rng.random(num_rows) < 1 / 6
    sums_GND[:, without], counts_GN[:, without] = 0, 0
    copies, originals = rng.choice(num_rows, num_rows // 3), rng.choice(num_rows, num_rows // 3)
    passages_ND[copies], sums_GND[:, copies] = passages_ND[originals], sums_GND[:, originals]
    counts_GN[:, copies] = counts_GN[:, originals]
    ids = [f"id{number}" for number in rng.permutation(num_rows)]
    layout = Layout(dimension, "language", ("fi", "te"))
    return store_of(folder, passages_ND, ids, sums_GND, counts_GN, layout=layout, num_shards=num_shards)


def families(store: EmbeddingStore, alphas: list[float] = ALPHAS) -> list[Family]:
    both, fi = store.layout.select(), store.layout.select(["fi"])
    found = [baseline_family(), fused_family(FUSIONS["sum"], alphas, fi, "fi")]
    for fusion in ("sum", "mean", "unit_mean", "unit_of_mean"):
        found.append(fused_family(FUSIONS[fusion], alphas, both))
    return found


def fused_by_hand(store: EmbeddingStore, system: str) -> NDArray[np.float64]:
    """The formulas written out a second time, for one row at a time."""
    parts = list(store.blocks(10**6))
    passages_ND = np.concatenate([part.passages() for part in parts]).astype(np.float64)
    if system == "baseline":
        return passages_ND
    fusion, _, rest = system.partition("-a")
    alpha, _, label = rest.partition("-")
    selection = store.layout.select([label] if label else None)
    generated = [part.generated(selection) for part in parts]
    sums_ND = np.concatenate([sums for sums, _ in generated]).astype(np.float64)
    counts_N = np.concatenate([counts for _, counts in generated])
    rows = zip(passages_ND, sums_ND, counts_N, strict=True)
    return np.stack([_fused_row(fusion, *row, float(alpha)) for row in rows])


def _fused_row(fusion: str, passage_D: NDArray, sum_D: NDArray, count: int, alpha: float) -> NDArray[np.float64]:
    if fusion == "sum":
        return (1 - alpha) * passage_D + alpha * sum_D
    if count == 0:
        return passage_D if fusion == "mean" else _unit_row(passage_D)
    if fusion == "mean":
        return (1 - alpha) * passage_D + alpha * sum_D / count
    if fusion == "unit_of_mean":
        return _unit_row((1 - alpha) * _unit_row(passage_D) + alpha * sum_D / count)
    assert fusion == "unit_mean"
    return _unit_row((1 - alpha) * _unit_row(passage_D) + alpha * _unit_row(sum_D))


def _unit_row(vector_D: NDArray) -> NDArray[np.float64]:
    return vector_D / (np.linalg.norm(vector_D) or 1)


def scored_by_hand(store: EmbeddingStore, queries_QD: NDArray, system: str) -> NDArray[np.float32]:
    scores_QN: NDArray[np.float32] = (queries_QD.astype(np.float64) @ fused_by_hand(store, system).T).astype(np.float32)
    return scores_QN


def ranked_by_hand(store: EmbeddingStore, scores_QN: NDArray[np.float32], k: int) -> NDArray:
    ids = np.array(store.ids(np.arange(len(store))))
    return np.stack([np.lexsort((ids, -scores_N))[:k] for scores_N in scores_QN])


def assert_equal(one: Rankings, other: Rankings) -> None:
    np.testing.assert_array_equal(one.rows_QK, other.rows_QK)
    np.testing.assert_array_equal(one.scores_QK, other.scores_QK)


def test_queries_that_take_turns_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = collection(tmp_path, 60, 6)
    queries_QD = np.random.default_rng(1).integers(-3, 4, (23, 6)).astype(np.float32)
    together = search(store, queries_QD, families(store), 60, tile_queries=4)
    monkeypatch.setattr("xdr.retrieval.search._MOST_BYTES", 1)
    seen: list[int] = []
    in_turns = search(store, queries_QD, families(store), 60, tile_queries=4, progress=seen.append)
    assert in_turns.keys() == together.keys()
    for system, found in together.items():
        assert_equal(in_turns[system], found)
    assert seen == sorted(seen) and len(seen) > 6 and seen[-1] == 60, "six turns, each over all shards"


def test_a_collection_of_four_by_hand(tmp_path: Path) -> None:
    """Query (1, 2): scores 1, 2, 3, 3, of which the last two are ordered by id, c before d. With alpha 1/2 and sums
    (0, 4), (0, 0), (0, 0), (0, 0): (1 + 8) / 2, 1, 1.5, 1.5."""
    passages_ND = np.array([[1, 0], [0, 1], [1, 1], [1, 1]])
    sums_GND = np.zeros((1, 4, 2))
    sums_GND[0, 0] = [0, 4]
    store = store_of(tmp_path, passages_ND, ["a", "b", "d", "c"], sums_GND, np.array([[2, 0, 0, 0]]))
    systems = [baseline_family(), fused_family(FUSIONS["sum"], [0.5], store.layout.select())]
    found = search(store, np.array([[1.0, 2.0]]), systems, 3)
    assert store.ids(found["baseline"].rows_QK[0]) == ["c", "d", "b"]
    assert found["baseline"].scores_QK.tolist() == [[3, 3, 2]]
    assert store.ids(found["sum-a0.5"].rows_QK[0]) == ["a", "c", "d"]
    assert found["sum-a0.5"].scores_QK.tolist() == [[4.5, 1.5, 1.5]]


@pytest.mark.parametrize("seed", range(3))
def test_one_pass_over_all_systems_equals_fusing_and_sorting_everything_for_each(tmp_path: Path, seed: int) -> None:
    """Queries of whole numbers, so that sums are exact and ties are ties in any order of summing. Divisions are not exact:
    there passages whose scores differ by rounding may change places."""
    store = collection(tmp_path, 900, 6, seed=seed)
    queries_QD = np.random.default_rng(seed + 100).integers(-3, 4, (37, 6)).astype(np.float32)
    found = search(store, queries_QD, families(store), 25, block_rows=128, tile_queries=16)
    assert len(found) == 1 + 5 * len(ALPHAS)
    for system, rankings in found.items():
        scores_QN = scored_by_hand(store, queries_QD, system)
        rows_QK = ranked_by_hand(store, scores_QN, 25)
        scores_QK = np.take_along_axis(scores_QN, rows_QK, axis=1)
        if system.startswith(("sum", "baseline")):
            np.testing.assert_array_equal(rankings.rows_QK, rows_QK, system)
            np.testing.assert_array_equal(rankings.scores_QK, scores_QK, system)
        else:
            np.testing.assert_allclose(rankings.scores_QK, scores_QK, rtol=1e-6, atol=1e-6)
            placed_QK = np.take_along_axis(scores_QN, rankings.rows_QK, axis=1)
            np.testing.assert_allclose(placed_QK, scores_QK, rtol=1e-6, atol=1e-6)
            assert all(len(set(rows_K)) == 25 for rows_K in rankings.rows_QK)


def test_a_system_is_ranked_the_same_alone_and_among_others_bit_for_bit(tmp_path: Path) -> None:
    store = collection(tmp_path, 700, 8)
    queries_QD = np.random.default_rng(1).standard_normal((20, 8)).astype(np.float32)
    together = search(store, queries_QD, families(store), 20)
    both, fi = store.layout.select(), store.layout.select(["fi"])
    for alpha in ALPHAS:
        alone = [
            fused_family(FUSIONS["sum"], [alpha], both),
            fused_family(FUSIONS["mean"], [alpha], both),
            fused_family(FUSIONS["unit_mean"], [alpha], both),
            fused_family(FUSIONS["sum"], [alpha], fi, "fi"),
        ]
        for family in alone:
            for system, rankings in search(store, queries_QD, [family], 20).items():
                assert_equal(rankings, together[system])


@pytest.mark.parametrize("changed", [{"block_rows": 50}, {"tile_queries": 3}, {"screening": torch.float16}])
def test_blocks_tiles_and_the_screenings_precision_change_nothing(tmp_path: Path, changed: dict) -> None:
    store = collection(tmp_path, 700, 8)
    queries_QD = np.random.default_rng(1).standard_normal((20, 8)).astype(np.float32)
    expected = search(store, queries_QD, families(store), 20)
    for system, rankings in search(store, queries_QD, families(store), 20, **changed).items():
        assert_equal(rankings, expected[system])


def test_the_longest_rows_are_found_whatever_float16_makes_of_them(tmp_path: Path) -> None:
    """Rows 64 apart in a product of 60,000 times 60,000: float16 cannot tell them apart, and would overflow."""
    passages_ND = np.full((300, 2), 60_000.0)
    passages_ND[::7, 1] -= 64
    store = store_of(tmp_path, passages_ND)
    (rankings,) = search(store, np.array([[3.0, 1.0]]), [baseline_family()], 257, screening=torch.float16).values()
    assert set(rankings.rows_QK[0]) == set(range(300)) - set(range(0, 300, 7))


def test_scores_do_not_depend_on_where_a_passage_stands(tmp_path: Path) -> None:
    """Forty copies of one vector among others: one score, and the order of ids, though k cuts through them."""
    rng = np.random.default_rng(0)
    passages_ND, sums_ND = rng.standard_normal((2, 1000, 97)).astype(np.float32)
    copies = rng.choice(1000, 40, replace=False)
    passages_ND[copies], sums_ND[copies] = passages_ND[copies[0]], passages_ND[copies[0]] * 3
    store = store_of(tmp_path, passages_ND, None, sums_ND[None], np.full((1, 1000), 3), num_shards=4)
    systems = [baseline_family(), fused_family(FUSIONS["mean"], [0.1, 0.2], store.layout.select())]
    systems.append(fused_family(FUSIONS["unit_mean"], [0.3], store.layout.select()))
    for rankings in search(store, passages_ND[copies[:1]], systems, 30, block_rows=77).values():
        assert rankings.rows_QK[0].tolist() == sorted(copies)[:30]
        assert len(set(rankings.scores_QK[0].tolist())) == 1


def test_passages_that_differ_by_a_hair_are_told_apart_by_few_exact_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of encoders without training are: what is each one's own is beside what all have in common a ten-thousandth as
    long. That is taken from them before they are screened."""
    rng = np.random.default_rng(0)
    passages_ND, others_ND = 0.02 * rng.standard_normal((2, 5000, 32))
    passages_ND[:, 0], others_ND[:, 0] = 1000, 900
    counts_N = rng.integers(1, 6, 5000)
    store = store_of(tmp_path, passages_ND, None, (counts_N[:, None] * others_ND)[None], counts_N[None], num_shards=2)
    queries_QD = rng.standard_normal((20, 32)).astype(np.float32)
    scored: list[int] = []

    def counted(*arguments: Any) -> Any:
        scored.append(len(arguments[4]))
        return exact_products(*arguments)

    monkeypatch.setattr("xdr.retrieval.exact_scores.exact_products", counted)
    systems = [baseline_family(), fused_family(FUSIONS["mean"], [0.1, 0.3], store.layout.select())]
    systems.append(fused_family(FUSIONS["unit_mean"], [0.2, 0.4], store.layout.select()))
    for system, rankings in search(store, queries_QD, systems, 10).items():
        scores_QN = scored_by_hand(store, queries_QD, system)
        np.testing.assert_array_equal(rankings.rows_QK, ranked_by_hand(store, scores_QN, 10))
    assert sum(scored) < 20 * 10 * len(systems) * 4, "of 300,000 pairs"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_late_row_of_great_length_is_found_whatever_rounding_makes_of_its_score(tmp_path: Path, sign: int) -> None:
    """It stands almost across the query: the rounding of the query, which its length multiplies, is more than its lead."""
    for query in ([3, 4, 12], [5, 7, 9], [7, 11, 13], [3, 11, 17], [9, 13, 5], [11, 3, 19]):
        near_ND = np.zeros((600, 3))
        near_ND[:, 2] = np.linspace(0.25, 0.4990, 600)
        long_1D = [[sign * query[1] * 2048, -sign * query[0] * 2048, 0.5]]
        store = store_of(tmp_path / "-".join(map(str, query)), np.concatenate([near_ND, long_1D]))
        (rankings,) = search(store, np.array([query], np.float32), [baseline_family()], 1, block_rows=300).values()
        assert rankings.rows_QK.tolist() == [[600]], query


def test_ten_thousand_equal_passages_are_ranked_by_id_and_do_not_pile_up(tmp_path: Path) -> None:
    store = store_of(tmp_path, np.ones((10_000, 2)), [f"{(row * 7919) % 10_000:04d}" for row in range(10_000)])
    (rankings,) = search(store, np.ones((2, 2)), [baseline_family()], 5).values()
    assert store.ids(rankings.rows_QK[1]) == ["0000", "0001", "0002", "0003", "0004"]


def test_a_query_of_zeros_ranks_by_id(tmp_path: Path) -> None:
    store = store_of(tmp_path, np.random.default_rng(0).standard_normal((50, 3)))
    (rankings,) = search(store, np.zeros((1, 3)), [baseline_family()], 4).values()
    assert rankings.rows_QK.tolist() == [[0, 1, 2, 3]]
    assert rankings.scores_QK.tolist() == [[0, 0, 0, 0]]


def test_parts_of_a_collection_merge_into_the_whole_bit_for_bit(tmp_path: Path) -> None:
    """One part holds fewer rows than k, and one none."""
    store = collection(tmp_path, 90, 4, num_shards=8)
    queries_QD = np.random.default_rng(2).integers(-3, 4, (9, 4)).astype(np.float32)
    whole = search(store, queries_QD, families(store), 40)
    parts = [search(store, queries_QD, families(store), 40, shards=shards) for shards in ([0], [1, 2, 3], [], [4, 5, 6, 7])]
    assert parts[0]["baseline"].rows_QK.shape == (9, 12) and parts[2]["baseline"].rows_QK.shape == (9, 0)
    for system in whole:
        assert_equal(merge_rankings([part[system] for part in parts], 40, store.ids), whole[system])


def _search_in_a_process(folder: Path, shards: list[int], out: Path) -> None:
    store = EmbeddingStore.open(folder)
    queries_QD = np.random.default_rng(3).standard_normal((9, 4)).astype(np.float32)
    for system, rankings in search(store, queries_QD, families(store), 30, shards=shards).items():
        np.savez(out / f"{system}.{shards[0]}.npz", scores=rankings.scores_QK, rows=rankings.rows_QK)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    store = collection(tmp_path / "store", 200, 4, num_shards=4)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_search_in_a_process, args=(tmp_path / "store", s, tmp_path)) for s in ([0, 1], [2, 3])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    queries_QD = np.random.default_rng(3).standard_normal((9, 4)).astype(np.float32)
    for system, rankings in search(store, queries_QD, families(store), 30).items():
        saved = [np.load(tmp_path / f"{system}.{first}.npz", allow_pickle=False) for first in (0, 2)]
        parts = [Rankings(each["scores"], each["rows"]) for each in saved]
        assert_equal(merge_rankings(parts, 30, store.ids), rankings)


def test_progress_counts_rows(tmp_path: Path) -> None:
    seen: list[int] = []
    search(store_of(tmp_path, np.ones((10, 2))), np.ones((1, 2)), [baseline_family()], 1, block_rows=4, progress=seen.append)
    assert seen == [4, 8, 10]


@pytest.mark.parametrize(
    ("queries_QD", "k", "systems", "says"),
    [
        (np.ones((1, 2)), 11, ["baseline"], "k must be from 1 to 10, the number of passages, got 11"),
        (np.ones((1, 2)), 0, ["baseline"], "got 0"),
        (np.ones((1, 3)), 1, ["baseline"], "queries must have the dimension of .* \\(2\\), got 3"),
        (np.ones((0, 2)), 1, ["baseline"], "at least one vector"),
        (np.array([[1, 1], [1, np.nan]]), 1, ["baseline"], "NaN or infinity in 1, the first at 1"),
        (np.ones((1, 2)), 1, ["baseline", "baseline"], "each with its own name, got baseline, baseline"),
        (np.ones((1, 2)), 1, [], "at least one system"),
    ],
)
def test_a_search_that_cannot_be_is_refused(tmp_path: Path, queries_QD: NDArray, k: int, systems: list[str], says: str) -> None:
    store = store_of(tmp_path, np.ones((10, 2)))
    with pytest.raises(UserError, match=says):
        search(store, queries_QD, [baseline_family(name) for name in systems], k)


def test_a_search_leaves_torchs_settings_as_they_were(tmp_path: Path) -> None:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(3)
    torch.set_float32_matmul_precision("medium")
    try:
        search(store_of(tmp_path, np.ones((10, 2))), np.ones((7, 2)), [baseline_family()], 1)
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (3, "medium")
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
