"""Two rankings fused into one, against the formulas written out for each passage, and against ranx where it is installed."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from xdr.errors import UserError
from xdr.retrieval.hybrid import Hybrid, ReciprocalRanks, WeightedScores, fused
from xdr.retrieval.rankings import NO_PASSAGE, Rankings

Run = dict[str, float]
NUM_PASSAGES = 40


def names(rows: np.ndarray) -> list[str]:
    return [f"p{row:02d}" for row in rows]


def random_ranking(rng: random.Random, lengths: list[int]) -> Rankings:
    """Scores with ties; as many passages of each query as `lengths` says."""
    scores_QK = np.full((len(lengths), max(lengths)), -np.inf, np.float32)
    rows_QK = np.full(scores_QK.shape, NO_PASSAGE, np.int64)
    for query, length in enumerate(lengths):
        scores_QK[query, :length] = sorted((rng.randrange(-8, 8) / 4 for _ in range(length)), reverse=True)
        rows_QK[query, :length] = rng.sample(range(NUM_PASSAGES), length)
    return Rankings(scores_QK, rows_QK)


def by_hand(hybrid: Hybrid, runs: tuple[Run, Run], k: int) -> Run:
    found: Run = {}
    for place, run in enumerate(runs):
        least, most = (min(run.values()), max(run.values())) if run else (0.0, 0.0)
        for rank, (passage, score) in enumerate(run.items(), start=1):
            if isinstance(hybrid, ReciprocalRanks):
                share = 1 / (hybrid.k + rank)
            else:
                assert isinstance(hybrid, WeightedScores)
                weight = hybrid.weight if place else 1 - hybrid.weight
                share = weight * ((score - least) / (most - least) if most > least else 0.0)
            found[passage] = found.get(passage, 0.0) + share
    best = sorted(found.items(), key=lambda item: (-np.float32(item[1]), item[0]))
    return dict(best[:k])


def as_run(rankings: Rankings, query: int) -> Run:
    there = rankings.rows_QK[query] != NO_PASSAGE
    return dict(zip(names(rankings.rows_QK[query][there]), rankings.scores_QK[query][there].tolist(), strict=True))


@pytest.mark.parametrize("hybrid", [ReciprocalRanks(60), ReciprocalRanks(0), *map(WeightedScores, (0.0, 0.3, 1.0))])
@pytest.mark.parametrize("seed", range(5))
def test_each_passage_gets_what_the_formula_says(hybrid: Hybrid, seed: int) -> None:
    rng = random.Random(seed)
    system, run = random_ranking(rng, [10] * 30), random_ranking(rng, [rng.randrange(15) for _ in range(29)] + [14])
    found = fused(hybrid, system, run, names)
    assert found.rows_QK.shape == (30, 10)
    for query in range(30):
        wanted = by_hand(hybrid, (as_run(system, query), as_run(run, query)), 10)
        assert list(as_run(found, query)) == list(wanted)
        assert list(as_run(found, query).values()) == pytest.approx(list(wanted.values()), rel=1e-6)


@pytest.mark.parametrize(("hybrid", "method"), [(ReciprocalRanks(60), "rrf"), (WeightedScores(0.3), "wsum")])
def test_scores_are_those_of_ranx(hybrid: Hybrid, method: str) -> None:
    ranx = pytest.importorskip("ranx")
    rng = random.Random(0)
    system, run = (random_ranking(rng, [10] * 30) for _ in range(2))
    theirs = [ranx.Run({str(query): as_run(each, query) for query in range(30)}) for each in (system, run)]
    settings = {"params": {"k": 60}} if method == "rrf" else {"norm": "min-max", "params": {"weights": (0.7, 0.3)}}
    judge = ranx.fuse(theirs, method=method, **settings)
    found = fused(hybrid, system, run, names)
    for query in range(30):
        for passage, score in as_run(found, query).items():
            assert judge.run[str(query)][passage] == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("make", [lambda: ReciprocalRanks(-1), lambda: WeightedScores(1.5)])
def test_settings_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=r"hybrid\.(k|weight) must be"):
        make()
