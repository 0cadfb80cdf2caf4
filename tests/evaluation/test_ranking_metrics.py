import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import pytrec_eval

from xdr.evaluation.metric_names import parse_metric
from xdr.evaluation.ranking_metrics import metric_values, relevant_ranks


def value(name: str, ranking: Sequence[str], judged: Mapping[str, int]) -> float:
    return float(metric_values(parse_metric(name), relevant_ranks([ranking], [judged]))[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision@1", 0),
        ("precision@2", 1 / 2),
        ("precision@9", 2 / 9),
        ("recall@1", 0),
        ("recall@2", 1 / 3),
        ("recall@9", 2 / 3),
        ("success@1", 0),
        ("success@2", 1),
        ("MRR@1", 0),
        ("MRR@2", 1 / 2),
        ("MAP", (1 / 2 + 2 / 4) / 3),
        ("MAP@3", (1 / 2) / 3),
        ("nDCG@4", (1 / np.log2(3) + 3 / np.log2(5)) / (3 + 1 / np.log2(3) + 1 / np.log2(4))),
        ("nDCG@2", (1 / np.log2(3)) / (3 + 1 / np.log2(3))),
    ],
)
def test_metrics_by_hand(name: str, expected: float) -> None:
    """Relevant passages at ranks 2 and 4, the latter three times as much, and one never retrieved."""
    judged = {"b": 1, "d": 3, "z": 1, "a": 0, "c": -1}
    assert value(name, ["a", "b", "c", "d"], judged) == pytest.approx(expected, abs=1e-15)


def test_a_query_without_relevant_passages_has_no_value() -> None:
    for name in ("precision@5", "recall@5", "success@5", "MRR@5", "nDCG@5", "MAP", "MAP@5"):
        assert np.isnan(value(name, ["a"], {}))
        assert np.isnan(value(name, ["a"], {"a": 0}))
        assert value(name, [], {"a": 1}) == 0


def test_random_rankings_score_as_trec_eval_scores_them() -> None:
    """500 queries with up to 30 graded judgements; scores tie often, so ties are broken by passage id beforehand."""
    rng = random.Random(0)
    passages = [f"p{i}" for i in range(60)]
    rankings, judgements = [], []
    for _ in range(500):
        scored = [(-rng.randint(0, 5), passage) for passage in rng.sample(passages, rng.randint(0, 60))]
        rankings.append([passage for _, passage in sorted(scored)])
        judged = rng.sample(passages, rng.randint(1, 30))
        judgements.append({passage: rng.choice([-1, 0, 0, 1, 1, 2, 3]) for passage in judged} | {judged[0]: 1})
    ranked = relevant_ranks(rankings, judgements)
    for name, theirs in (
        ("precision@5", "P_5"),
        ("precision@100", "P_100"),
        ("recall@5", "recall_5"),
        ("recall@100", "recall_100"),
        ("success@5", "success_5"),
        ("nDCG@5", "ndcg_cut_5"),
        ("nDCG@10", "ndcg_cut_10"),
        ("MAP", "map"),
        ("MAP@5", "map_cut_5"),
        ("MRR@60", "recip_rank"),
    ):
        expected = trec_eval(theirs, rankings, judgements)
        assert metric_values(parse_metric(name), ranked) == pytest.approx(expected, abs=1e-12), name
    expected = trec_eval("recip_rank", [ranking[:7] for ranking in rankings], judgements)
    assert metric_values(parse_metric("MRR@7"), ranked) == pytest.approx(expected, abs=1e-12)


def trec_eval(measure: str, rankings: Sequence[Sequence[str]], judgements: Sequence[Mapping[str, int]]) -> list[float]:
    evaluator = pytrec_eval.RelevanceEvaluator({str(q): dict(judged) for q, judged in enumerate(judgements)}, {measure})
    runs = {str(q): {passage: float(-rank) for rank, passage in enumerate(ranking)} for q, ranking in enumerate(rankings)}
    found = evaluator.evaluate(runs)
    return [found.get(str(q), {measure: 0.0})[measure] for q in range(len(rankings))]
