import numpy as np
import pytest

from xdr.errors import UserError
from xdr.evaluation.metric_names import parse_metrics
from xdr.evaluation.scoring import Gold, first_gold_ranks, gold, score, usable
from xdr.text.records import Judgement, Query

TEXTS = ["Helsinki is by the sea .", "Seoul " * 1000, "Oulu is further north ."]
QUERIES = [
    Query("q1", "Missä?", "fi", ("Helsinki",)),
    Query("q2", "어디?", "ko", ("yes",)),
    Query("q3", "Mikä?", "fi", ("Oulu",)),
]
GOLD = Gold(QUERIES, [{0: 1}, {1: 0}, {2: 1, 0: 2}])
"""Nothing is relevant for q2, and its answer is yes."""


def test_queries_without_gold_have_no_value_and_are_counted() -> None:
    systems, warnings = score(
        GOLD, {"baseline": [[0, 2], [0, 2], [1, 2]]}, parse_metrics(["MRR@2", "R@1kt"]), TEXTS.__getitem__
    )
    values = systems["baseline"].values
    assert np.array_equal(values["MRR@2"], [1, np.nan, 1 / 2], equal_nan=True)
    assert np.array_equal(values["R@1kt"], [1, np.nan, 0], equal_nan=True), "Oulu stands behind a thousand other words"
    assert "MRR@2: 1 of 3 queries have no value and are left out" in warnings
    assert "R@1kt: 1 of 3 queries have no value and are left out" in warnings


def test_rankings_with_fewer_tokens_than_the_budget_are_counted() -> None:
    _, warnings = score(GOLD, {"baseline": [[0, 2], [0], [1, 2]]}, parse_metrics(["R@1kt"]), TEXTS.__getitem__)
    said = "1 of 3 rankings hold fewer than 1,000 tokens: with a larger search.depth R@1kt could only be higher"
    assert warnings[0] == said, "q1's; q2 is not asked"
    _, warnings = score(GOLD, {"baseline": [[1], [0], [1, 2]]}, parse_metrics(["R@1kt"]), TEXTS.__getitem__)
    assert not any("search.depth" in warning for warning in warnings)


def test_metrics_that_nothing_can_be_said_of_are_left_out_in_a_sentence() -> None:
    metrics = parse_metrics(["R@2kt", "recall@10"])
    kept, warnings = usable(metrics, Gold(QUERIES[1:2], [{1: 1}]))
    assert [metric.name for metric in kept] == ["recall@10"]
    assert warnings == ["R@2kt is left out: no query has an answer other than yes and no"]
    with pytest.raises(UserError, match="no metric can be computed: .* no passage is judged relevant for any query"):
        usable(metrics, Gold(QUERIES[1:2], [{1: 0}]))


def test_judgements_are_those_of_passages_in_the_collection() -> None:
    judgements = [Judgement("q1", "p0", 1), Judgement("q1", "gone", 1), Judgement("q3", "p2", 2)]
    judged_by = gold(QUERIES, judgements, lambda ids: [{"p0": 0, "p2": 2}.get(passage_id) for passage_id in ids])
    assert judged_by.relevance == [{0: 1}, {}, {2: 2}]


def test_the_first_gold_rank_is_that_of_the_best_placed_relevant_passage() -> None:
    assert first_gold_ranks(GOLD, [[1, 0], [1, 0], [0, 2]]) == [2, None, 1]
