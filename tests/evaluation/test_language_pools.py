import numpy as np
import pytest
import pytrec_eval

from xdr.evaluation.language_pools import PassageLanguages, pool_values, precisions_by_language
from xdr.evaluation.metric_names import CROSS, JUDGED, MONO, OF_POOLS, SPREAD

nan = np.nan
THREE = PassageLanguages(("de", "en", "fi"), np.array([0, 0, 1, 1, 2, 2]))
"""Rows 0 and 1 are German, 2 and 3 English, 4 and 5 Finnish."""


def test_pools_of_three_languages_by_hand() -> None:
    """A German question about rows 0, 3 and 4. German alone: 0, 1; English: 2, 3; Finnish: 5, 4; so precisions 1, 1/2 and 1/2.
    Among all they stand at 2, 5 and 4. An English question about both German rows, at 1 and 2 of the German ones; one in Korean
    about row 5."""
    rankings = np.array([[2, 0, 5, 4, 3, 1], [1, 2, 3, 0, 4, 5], [0, 4, 1, 5, 2, 3]])
    judgements = [{0: 1, 3: 2, 4: 1, 1: 0}, {0: 1, 1: 1}, {5: 1}]
    precisions = precisions_by_language(rankings, judgements, THREE)
    assert np.array_equal(precisions, [[1, 0.5, 0.5], [1, nan, nan], [nan, nan, 0.5]], equal_nan=True)
    values = pool_values(OF_POOLS, rankings, judgements, ["de", "en", "ko"], THREE)
    assert np.array_equal(values[MONO], [1, nan, nan], equal_nan=True), "in its own language the other two have none"
    assert np.array_equal(values[CROSS], [0.5, 1, 0.5], equal_nan=True)
    assert np.array_equal(values[SPREAD], [3, nan, nan], equal_nan=True)


def test_what_a_short_ranking_lacks_counts_nothing_and_leaves_no_spread() -> None:
    values = pool_values(OF_POOLS, np.array([[2, 0, 3]]), [{0: 1, 1: 1, 3: 1, 4: 1}], ["de"], THREE)
    assert values[MONO] == [1 / 2], "one of two German passages, at rank 1"
    assert values[CROSS] == [(1 / 2 + 0) / 2], "English at rank 2, Finnish not found"
    assert np.isnan(values[SPREAD])


def test_every_pool_searched_by_itself_gives_the_same() -> None:
    """60 queries, 200 passages in four languages, up to three relevant ones in each: each language's passages sorted alone,
    and judged by trec_eval."""
    rng = np.random.default_rng(0)
    codes = ("ar", "en", "fi", "ko")
    passages = PassageLanguages(codes, rng.integers(0, 4, 200))
    scores_QP = rng.permuted(np.tile(np.arange(200.0), (60, 1)), axis=1)
    judgements = [{int(row): 1 for row in rng.choice(200, rng.integers(2, 12), replace=False)} for _ in range(60)]
    asked_in = [codes[i % 4] for i in range(60)]
    expected: dict[str, list[float]] = {MONO: [], CROSS: [], SPREAD: []}
    for scores_P, judged, own in zip(scores_QP, judgements, asked_in, strict=True):
        alone = {code: searched_alone(scores_P, judged, passages.of_row_P == i) for i, code in enumerate(codes)}
        others = [value for code, value in alone.items() if code != own and not np.isnan(value)]
        expected[MONO].append(alone[own])
        expected[CROSS].append(float(np.mean(others)) if others else nan)
        best = [
            min(1 + int((scores_P > scores_P[row]).sum()) for row in judged if passages.of_row_P[row] == i)
            for i in sorted({int(passages.of_row_P[row]) for row in judged})
        ]
        expected[SPREAD].append(max(best) - min(best) if len(best) > 1 else nan)
    values = pool_values(OF_POOLS, np.argsort(-scores_QP, axis=1), judgements, asked_in, passages)
    for name in (MONO, CROSS, SPREAD):
        assert values[name] == pytest.approx(np.array(expected[name]), abs=1e-12, nan_ok=True), name
    assert np.isnan(expected[MONO]).any() and not np.isnan(expected[MONO]).all()


def searched_alone(scores_P: np.ndarray, judged: dict[int, int], member_P: np.ndarray) -> float:
    relevant = {str(row): 1 for row in judged if member_P[row]}
    if not relevant:
        return nan
    run = {str(row): float(scores_P[row]) for row in np.flatnonzero(member_P)}
    found = pytrec_eval.RelevanceEvaluator({"q": relevant}, {"map"}).evaluate({"q": run})
    return float(found["q"]["map"])


def test_ndcg_among_judged_passages_is_trec_eval_s_without_the_others() -> None:
    rng = np.random.default_rng(1)
    passages = PassageLanguages(("en",), np.zeros(100, dtype=int))
    rankings = rng.permuted(np.tile(np.arange(100), (50, 1)), axis=1)
    qrels = [{int(row): int(rng.integers(-1, 5)) for row in rng.choice(100, 9, replace=False)} for _ in range(50)]
    runs = {str(q): {str(row): -float(rank) for rank, row in enumerate(ranking)} for q, ranking in enumerate(rankings)}
    judged = {str(q): {str(row): value for row, value in relevance.items()} for q, relevance in enumerate(qrels)}
    found = pytrec_eval.RelevanceEvaluator(judged, {"ndcg"}, judged_docs_only_flag=True).evaluate(runs)
    values = pool_values([JUDGED], rankings, qrels, ["en"] * 50, passages)[JUDGED]
    assert values == pytest.approx([found[str(q)]["ndcg"] for q in range(50)], abs=1e-12)
    assert pool_values([JUDGED], np.array([[3, 0, 2, 1]]), [{0: 2, 1: 4, 2: 0}], ["en"], THREE)[JUDGED] == pytest.approx(
        [(2 + 4 / 2) / (4 + 2 / np.log2(3))]
    )
