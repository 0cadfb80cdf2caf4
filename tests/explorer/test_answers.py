"""The answers that the page gets, and how long they take."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from conf.explore import kept_settings
from xdr.errors import UserError
from xdr.evaluation.per_query import means
from xdr.explorer.answers import _FORMULAS, Answers
from xdr.explorer.finished import Finished, open_finished
from xdr.explorer.query_vectors import QueryVectors
from xdr.vectors.fusion import FUSIONS

MOST_SECONDS = 0.1
TRIES = 7
"""The fastest counts, in CPU time of one thread: threads of torch that wait for each other on a busy machine count too."""


def fastest(call: Callable[[int], Any]) -> float:
    seconds = []
    for number in range(TRIES):
        start = time.thread_time()
        json.dumps(call(number))
        seconds.append(time.thread_time() - start)
    return min(seconds)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_answers_take_less_than_a_tenth_of_a_second_on_the_sample(answers: Answers, finished: Finished) -> None:
    ids = [query.query_id for query in finished.qrels.queries]
    best = answers.state()["best"]
    took = {
        "state": fastest(lambda number: answers.state()),
        "list": fastest(lambda number: answers.questions("fi", "on")),
        "changes": fastest(lambda number: answers.changes(best, "MRR@10", "")),
        "stored question": fastest(lambda number: answers.rankings(ids[number], "", 0.3, 10)),
        "new question": fastest(lambda number: answers.rankings("", f"Missä on vuori {number}?", 0.3, 10)),
        "slide": fastest(lambda number: answers.rankings(ids[0], "", number / 10, 10)),
        "passage": fastest(lambda number: answers.passage(50 + number, ids[0], "", 0.3)),
    }
    assert {name: seconds for name, seconds in took.items() if seconds > MOST_SECONDS} == {}


def test_the_state_names_what_was_evaluated(answers: Answers, finished: Finished) -> None:
    state = answers.state()
    assert state["ready"] and state["problem"] == ""
    assert (state["num_queries"], state["num_passages"]) == (1152, 144)
    assert {"code": "fi", "name": "Finnish"} in state["languages"] and len(state["languages"]) == 8
    assert state["fusion"]["name"] == finished.folder.name
    assert "baseline" not in state["systems"] and set(state["alphas"]) == set(state["systems"])
    macro = {system: means(finished.values[system], state["headline"]).macro for system in state["systems"]}
    assert macro[state["best"]] == max(macro.values())


def test_every_fusion_has_its_formula_on_the_page() -> None:
    assert set(_FORMULAS) == set(FUSIONS)


def test_questions_are_found_by_language_and_words(answers: Answers) -> None:
    every = answers.questions("", "")
    assert every["total"] == 1152 and len(every["questions"]) == 200
    finnish = answers.questions("fi", "")
    assert finnish["total"] == 144 and {question["language"] for question in finnish["questions"]} == {"fi"}
    found = answers.questions("fi", "ON missä")
    assert 0 < found["total"] < 144
    assert all("on" in q["text"].casefold() and "missä" in q["text"].casefold() for q in found["questions"])
    assert answers.questions("fi", "no such word")["total"] == 0


def test_rankings_say_what_moved_and_where_the_relevant_passages_are(answers: Answers, finished: Finished) -> None:
    query = finished.qrels.queries[3]
    found = answers.rankings(query.query_id, "", 1.0, 25)
    assert found["question"]["text"] == query.text and found["question"]["stored"]
    assert [passage["before"]["rank"] for passage in found["baseline"]] == list(range(1, 26))
    assert [passage["after"]["rank"] for passage in found["fused"]] == list(range(1, 26))
    assert any(passage["before"]["rank"] != passage["after"]["rank"] for passage in found["fused"])
    (relevant,) = found["relevant"]
    assert relevant["mark"] == "relevant" and finished.qrels.relevance[3] == {relevant["row"]: 1}
    shown = {passage["row"]: passage["mark"] for passage in answers.rankings(query.query_id, "", 1.0, 100)["baseline"]}
    assert [row for row, mark in shown.items() if mark] == [row for row in shown if row == relevant["row"]]


def test_a_new_question_is_ranked_and_the_text_of_a_stored_one_is_that_question(answers: Answers, finished: Finished) -> None:
    new = answers.rankings("", "A question that nobody asked", 0.5, 10)
    assert new["relevant"] == [] and not new["question"]["stored"] and len(new["fused"]) == 10
    query = finished.qrels.queries[3]
    assert answers.rankings("", f" {query.text} ", 0.5, 10) == answers.rankings(query.query_id, "", 0.5, 10)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.61])
def test_the_shares_of_a_passage_add_up_to_its_score(answers: Answers, finished: Finished, alpha: float) -> None:
    query_id = finished.qrels.queries[3].query_id
    found = answers.passage(17, query_id, "", alpha)
    of_row, texts = found["shares"], found["shares"]["questions"]
    assert found["text"] == finished.store[17].text and found["id"] == finished.store[17].passage_id
    assert of_row["additive"] and len(texts) > 1
    assert {text["language"] for text in texts} <= set(finished.fusing.languages if finished.fusing else ())
    total = of_row["passage"] + sum(text["share"] for text in texts)
    assert total == pytest.approx(found["after"]["score"], rel=2e-3, abs=2e-3), "stored in half precision"
    assert total + of_row["rounding"] == pytest.approx(found["after"]["score"], rel=1e-5, abs=1e-6)


def test_the_share_of_a_question_follows_from_its_vector(answers: Answers, finished: Finished, vectors: QueryVectors) -> None:
    """With `sum`, it is alpha times the inner product."""
    assert finished.fusing is not None
    query = finished.qrels.queries[3]
    found = answers.passage(17, query.query_id, "", 0.2)["shares"]["questions"]
    for text in found:
        query_D, generated_D = vectors.of([query.text, text["text"]])
        assert text["product"] == pytest.approx(float(query_D @ generated_D), rel=1e-4, abs=1e-6)
    ratios = [text["share"] / text["product"] for text in found]
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-3)
    assert (ratios[0] == pytest.approx(0.2)) == (finished.fusing.fusion.name == "sum")


def test_without_generated_questions_there_is_the_baseline_alone(evaluations: Path, vectors: QueryVectors) -> None:
    folder = evaluations / "plain"
    answers = Answers(open_finished(folder, kept_settings(folder)), vectors)
    state = answers.state()
    assert (state["fusion"], state["systems"], state["best"]) == (None, [], None)
    query_id = answers.questions("", "")["questions"][0]["id"]
    found = answers.rankings(query_id, "", 0.5, 10)
    assert found["fused"] is None and len(found["baseline"]) == 10
    assert "shares" not in answers.passage(found["baseline"][0]["row"], query_id, "", 0.5)


def test_what_does_not_exist_is_refused(answers: Answers) -> None:
    for call, problem in (
        (lambda: answers.rankings("no-such-id", "", 0.1, 10), "query must be of this evaluation"),
        (lambda: answers.rankings("", "  ", 0.1, 10), "a question must have 1 to 2,000 characters, got 0"),
        (lambda: answers.rankings("", "x" * 2001, 0.1, 10), "a question must have 1 to 2,000 characters, got 2,001"),
        (lambda: answers.rankings("", "x", 1.01, 10), "alpha must be from 0 to 1, got 1.01"),
        (lambda: answers.rankings("", "x", 0.1, 0), "k must be at least 1, got 0"),
        (lambda: answers.passage(144, "", "x", 0.1), "row must be from 0 to 143, got 144"),
        (lambda: answers.changes("no-such-system", "MRR@10", ""), "system and metric must be of this evaluation"),
        (lambda: answers.changes("baseline", "MRR@11", ""), "system and metric must be of this evaluation"),
    ):
        with pytest.raises(UserError, match=problem):
            call()
