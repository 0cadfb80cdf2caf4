import pytest

from xdr.errors import UserError
from xdr.evaluation.metric_names import Metric, parse_metric, parse_metrics, require_headline


@pytest.mark.parametrize(
    ("name", "measure", "cutoff"),
    [
        ("R@2kt", "R", 2000),
        ("R@10kt", "R", 10000),
        ("recall@100", "recall", 100),
        ("success@1", "success", 1),
        ("MRR@10", "MRR", 10),
        ("nDCG@10", "nDCG", 10),
        ("MAP", "MAP", None),
        ("MAP@20", "MAP", 20),
        ("MAP-mono", "MAP-mono", None),
        ("MAP-cross", "MAP-cross", None),
        ("rank_spread", "rank_spread", None),
    ],
)
def test_a_name_says_measure_and_cutoff_and_comes_back(name: str, measure: str, cutoff: int | None) -> None:
    assert parse_metric(name) == Metric(measure, cutoff)
    assert Metric(measure, cutoff).name == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ndcg@10", "got 'ndcg@10'; did you mean 'nDCG@10'"),
        ("Recall@100", "did you mean 'recall@100'"),
        ("map", "did you mean 'MAP'"),
        ("r@2kt", "did you mean 'R@2kt'"),
        ("sucess@10", "did you mean 'success@10'"),
        ("R@2000", "its budget must be in thousands of tokens, as in R@2kt and R@5kt"),
        ("recall@2kt", "its cutoff must be a whole number of passages, as in recall@10"),
        ("recall", "as in recall@10"),
        ("recall@0", "as in recall@10"),
        ("MRR@-1", "as in MRR@10"),
        ("MAP@", "as in MAP@10"),
        ("MAP-Mono", "did you mean 'MAP-mono'"),
        ("MAP-mono@10", "MAP-mono takes no cutoff"),
        ("rank-spread", "did you mean 'rank_spread'"),
        ("nDCG@１０", "as in nDCG@10"),
        ("", "metrics are R@2kt, R@5kt, recall@100"),
        ("accuracy", "metrics are R@2kt, R@5kt, recall@100"),
    ],
)
def test_another_name_is_refused_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_metric(name)


def test_a_metric_named_twice_is_refused() -> None:
    assert [metric.name for metric in parse_metrics(["R@5kt", "MAP"])] == ["R@5kt", "MAP"]
    with pytest.raises(UserError, match="must not repeat a name, got R@5kt twice"):
        parse_metrics(["R@5kt", "MAP", "R@5kt"])


def test_a_metric_of_which_less_is_better_is_no_headline() -> None:
    assert require_headline("MAP-cross") == "MAP-cross"
    with pytest.raises(UserError, match="headline must be a metric of which more is better, got rank_spread"):
        require_headline("rank_spread")
