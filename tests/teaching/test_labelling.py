from pathlib import Path
from typing import Any

import pytest

from xdr.data.problems import Problems
from xdr.data.tevatron import read_training_examples
from xdr.errors import UserError
from xdr.retrieval.trec_runs import Run
from xdr.teaching.labelling import AnswerMatcher, LabelCounts, labelled_examples, write_examples
from xdr.teaching.settings import LabelRules
from xdr.text.records import Passage, Query, TrainingExample

TEXTS = {
    "a": "Saimaa lies in Finland.",
    "b": "The lake of Finland, yes.",
    "c": "Volga",
    "d": "Don",
    "e": "Nile",
    "f": "In Finland?",
}
PASSAGES = {key: Passage(key, f"title of {key}", text, "en") for key, text in TEXTS.items()}
QUERY = Query("q", "Missä Saimaa on?", "fi", ("Finland", "yes"))
RUN: Run = {"q": {"a": 0.9, "c": 0.88, "b": 0.8, "d": 0.7, "e": 0.5}}


def label(
    rules: LabelRules, run: Run = RUN, scores: Run | None = None, query: Query = QUERY
) -> tuple[list[TrainingExample], LabelCounts]:
    counts = LabelCounts()
    return list(labelled_examples([query], run, PASSAGES.__getitem__, rules, counts, scores)), counts


def ids(example: TrainingExample) -> tuple[str, str]:
    return tuple("".join(p.passage_id for p in passages) for passages in (example.positives, example.negatives))  # type: ignore[return-value]  # a pair


def rules(
    answers: bool = True, threshold: float | None = None, margin: float | None = 0.1, positives: int = 9, negatives: int = 9
) -> LabelRules:
    return LabelRules(answers, threshold, None, margin, positives, negatives)


def test_a_passage_with_an_answer_is_positive_and_one_near_to_it_is_no_negative() -> None:
    """The lowest positive has 0.8, so negatives have at most 0.72."""
    (example,), counts = label(rules())
    assert ids(example) == ("ab", "de")
    assert (example.positive_scores, example.negative_scores) == ((), ())
    assert +counts.passages == {"labelled positive": 2, "negative": 2, "too near to a positive": 1}
    assert counts.queries == {"kept": 1}


def test_a_wider_margin_leaves_fewer_negatives_and_at_least_the_lowest() -> None:
    (example,), _ = label(rules(margin=0.3))
    assert ids(example) == ("ab", "e")
    (example,), counts = label(rules(margin=0.5))
    assert ids(example) == ("ab", "e")
    assert counts.queries == {"kept": 1, "with one negative that is too near": 1}
    assert +counts.passages == {"labelled positive": 2, "negative": 1, "too near to a positive": 2}


def test_a_query_all_of_whose_passages_are_positive_is_left_out() -> None:
    examples, counts = label(rules(), run={"q": {"a": 0.9, "b": 0.8}})
    assert (examples, counts.queries) == ([], {"without negatives": 1})


def test_below_zero_a_margin_goes_down_as_well() -> None:
    """Log-likelihoods: the lowest positive has -2, so negatives have at most -2.2."""
    (example,), _ = label(rules(), scores={"q": {"a": -1.0, "b": -2.0, "c": -1.9, "d": -2.1, "e": -2.3}})
    assert ids(example) == ("ab", "e")
    assert (example.positive_scores, example.negative_scores) == ((-1.0, -2.0), (-2.3,))


def test_a_score_above_the_threshold_is_positive_and_an_answer_keeps_a_passage_from_the_negatives() -> None:
    (example,), counts = label(rules(answers=False, threshold=0.85))
    assert ids(example) == ("ac", "de")
    assert counts.passages["the rules disagree"] == 1, "b holds an answer"


def test_both_rules_must_agree() -> None:
    (example,), counts = label(rules(threshold=0.85))
    assert ids(example) == ("a", "de")
    assert +counts.passages == {"labelled positive": 1, "negative": 2, "the rules disagree": 2}


def test_the_first_of_the_run_are_kept_and_what_the_teacher_did_not_score_is_left_out() -> None:
    """The kept positive has 0.9, so c with 0.88 is too near, and d is not."""
    (example,), _ = label(rules(positives=1, negatives=1))
    assert ids(example) == ("a", "d")
    (example,), _ = label(rules(), scores={"q": {"b": 0.8, "e": 0.1}})
    assert ids(example) == ("b", "e")


def test_a_passage_that_is_known_to_answer_is_no_negative() -> None:
    counts = LabelCounts()
    (example,) = labelled_examples([QUERY], RUN, PASSAGES.__getitem__, rules(), counts, relevant={"q": ["d"]})
    assert ids(example) == ("dab", "e")


def test_a_passage_that_is_known_to_answer_and_was_not_found_comes_first_and_sets_no_margin() -> None:
    counts = LabelCounts()
    (example,) = labelled_examples([QUERY], RUN, PASSAGES.__getitem__, rules(positives=1), counts, relevant={"q": ["f"]})
    assert ids(example) == ("f", "cde")
    taught = {"q": {"c": -1.0, "e": -3.0}}
    assert list(labelled_examples([QUERY], RUN, PASSAGES.__getitem__, rules(), counts, taught, {"q": ["f"]})) == []
    taught["q"]["f"] = -2.0
    (example,) = labelled_examples([QUERY], RUN, PASSAGES.__getitem__, rules(), counts, taught, {"q": ["f"]})
    assert (ids(example), example.positive_scores) == (("f", "e"), (-2.0,))


def test_without_a_margin_all_that_is_not_positive_is_negative() -> None:
    (example,), _ = label(rules(margin=None))
    assert ids(example) == ("ab", "cde")


def test_queries_without_positives_are_left_out_and_counted() -> None:
    for query, run in ((Query("q", "?", "fi", ("Baikal", "no")), RUN), (QUERY, {"q": {"c": 1.0}}), (QUERY, {})):
        examples, counts = label(rules(), run, query=query)
        assert (examples, counts.queries) == ([], {"without positives": 1})


def test_answers_are_found_by_the_tokens_of_the_metric() -> None:
    """NLTK splits the question mark off, so `Finland ?` is in the tokens and `Finland?` is not."""
    matches = AnswerMatcher(PASSAGES.__getitem__)
    found = [matches(Query("q", "?", "fi", (answer,)), "f") for answer in ("Finland", "Finland ?", "Finland?", "Fin", "yes")]
    assert found == [True, True, False, True, False]


def test_written_examples_are_read_as_tevatron_s(tmp_path: Path) -> None:
    examples, _ = label(rules(), scores={"q": {"a": 3.5, "b": 3.0, "e": 0.25}})
    plain, _ = label(rules())
    write_examples(tmp_path / "train.jsonl", [*examples, *plain])
    assert list(read_training_examples(tmp_path / "train.jsonl", Problems())) == [*examples, *plain]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ((False, None, None, 0.1, 9, 9), "mining.threshold or mining.quantile must be a number where mining.answers is false"),
        ((True, -2.0, 0.5, 0.1, 9, 9), r"mining.threshold must be null with mining.quantile=0.5, got -2.0"),
        ((True, None, 50, 0.1, 9, 9), "mining.quantile must be from 0 to 1, got 50"),
        ((True, None, None, -0.1, 9, 9), r"mining.margin must be at least 0, got -0.1"),
        ((True, None, None, 0.1, 9, 0), "mining.most_negatives must be at least 1, got 0"),
    ],
)
def test_rules_that_say_nothing_or_contradict_are_refused(settings: tuple[Any, ...], says: str) -> None:
    with pytest.raises(UserError, match=says):
        LabelRules(*settings)
