import numpy as np
import pytest

from xdr.errors import UserError
from xdr.evaluation.language_pools import PassageLanguages
from xdr.evaluation.metric_names import parse_metrics
from xdr.evaluation.scoring import Qrels, first_relevant_ranks, qrels_of, score_rankings, usable
from xdr.text.records import Judgement, Query

TEXTS = ["Helsinki is by the sea .", "Seoul " * 1000, "Oulu is further north ."]
QUERIES = [
    Query("q1", "Missä?", "fi", ("Helsinki",)),
    Query("q2", "어디?", "ko", ("yes",)),
    Query("q3", "Mikä?", "fi", ("Oulu",)),
]
ENGLISH = PassageLanguages(("en",), np.zeros(3, np.int64))
QRELS = Qrels(QUERIES, [{0: 1}, {1: 0}, {2: 1, 0: 2}], ENGLISH)
"""Nothing is relevant for q2, and its answer is yes."""


def test_queries_without_relevant_passages_have_no_value_and_are_counted() -> None:
    systems, warnings = score_rankings(
        QRELS, {"baseline": np.array([[0, 2], [0, 2], [1, 2]])}, parse_metrics(["MRR@2", "R@1kt"]), TEXTS.__getitem__
    )
    values = systems["baseline"].values
    assert np.array_equal(values["MRR@2"], [1, np.nan, 1 / 2], equal_nan=True)
    assert np.array_equal(values["R@1kt"], [1, np.nan, 0], equal_nan=True), "Oulu stands behind a thousand other words"
    assert "MRR@2: 1 of 3 queries have no value and are left out" in warnings
    assert "R@1kt: 1 of 3 queries have no value and are left out" in warnings


def test_rankings_with_fewer_tokens_than_the_budget_are_counted() -> None:
    _, warnings = score_rankings(
        QRELS, {"baseline": np.array([[0, 2], [0, 2], [1, 2]])}, parse_metrics(["R@1kt"]), TEXTS.__getitem__
    )
    said = "1 of 3 rankings hold fewer than 1,000 tokens: R@1kt may rise with a larger search.depth"
    assert warnings[0] == said, "q1's; q2 is not asked"
    _, warnings = score_rankings(
        QRELS, {"baseline": np.array([[1, 0], [0, 1], [1, 2]])}, parse_metrics(["R@1kt"]), TEXTS.__getitem__
    )
    assert not any("search.depth" in warning for warning in warnings)


def test_where_all_passages_are_ranked_no_deeper_search_is_asked_for() -> None:
    _, warnings = score_rankings(QRELS, {"baseline": np.array([[0, 2, 1]] * 3)}, parse_metrics(["R@5kt"]), TEXTS.__getitem__)
    assert not [warning for warning in warnings if "fewer than" in warning]


def test_metrics_that_nothing_can_be_said_of_are_left_out_in_a_sentence() -> None:
    metrics = parse_metrics(["R@2kt", "recall@10"])
    kept, warnings = usable(metrics, Qrels(QUERIES[1:2], [{1: 1}], ENGLISH), 3)
    assert [metric.name for metric in kept] == ["recall@10"]
    assert warnings == ["R@2kt is left out: no query has an answer (yes and no do not count)"]
    with pytest.raises(UserError, match="no metric can be the headline: .* no passage is judged relevant for any query"):
        usable(metrics, Qrels(QUERIES[1:2], [{1: 0}], ENGLISH), 3)


def test_judgements_are_those_of_passages_in_the_collection() -> None:
    judgements = [Judgement("q1", "p0", 1), Judgement("q1", "gone", 1), Judgement("q3", "p2", 2)]
    qrels = qrels_of(QUERIES, judgements, lambda ids: [{"p0": 0, "p2": 2}.get(passage_id) for passage_id in ids], ENGLISH)
    assert qrels.relevance == [{0: 1}, {}, {2: 2}]


def test_the_first_relevant_rank_is_that_of_the_best_ranked_relevant_passage() -> None:
    assert first_relevant_ranks(QRELS, np.array([[1, 0], [1, 0], [0, 2]])) == [2, None, 1]


def test_pools_need_passages_of_the_languages_and_the_spread_whole_rankings() -> None:
    metrics = parse_metrics(["MAP", "MAP-mono", "MAP-cross", "rank_spread"])
    kept, warnings = usable(metrics, QRELS, 3)
    assert [metric.name for metric in kept] == ["MAP", "MAP-cross"], "all passages are English, and no question is"
    assert warnings == [
        "MAP-mono is left out: no query has a relevant passage in its own language",
        "rank_spread is left out: no query has relevant passages in two languages",
    ]
    both = Qrels(QUERIES[2:], [{2: 1, 0: 1}], PassageLanguages(("en", "fi"), np.array([0, 0, 1])))
    assert usable(metrics, both, 3) == (list(metrics), [])
    kept, warnings = usable(metrics, both, 2)
    assert [metric.name for metric in kept] == ["MAP", "MAP-mono", "MAP-cross"]
    assert "it needs complete rankings, and these have 2 passages. search.depth=0 ranks all" in warnings[0]
    assert warnings[1].startswith("MAP-mono and MAP-cross: relevant passages below rank 2")
    with pytest.raises(UserError, match="headline: rank_spread is the only one"):
        usable(metrics[3:], both, 3)


def test_values_stand_in_the_order_in_which_metrics_were_named() -> None:
    names = ["rank_spread", "MAP-mono", "R@1kt", "MAP"]
    both = Qrels(QUERIES, [{0: 1, 2: 1}] * 3, PassageLanguages(("en", "fi"), np.array([0, 0, 1])))
    systems, _ = score_rankings(both, {"baseline": np.array([[0, 1, 2]] * 3)}, parse_metrics(names), TEXTS.__getitem__)
    values = systems["baseline"].values
    assert list(values) == names
    assert values["rank_spread"].tolist() == [2, 2, 2]
