import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.official_answer_recall import official_hit
from tests.evaluation.test_word_tokens import PIECES, real_passages
from xdr.benchmarks.xor_tydi import read_questions
from xdr.data.problems import Problems
from xdr.evaluation.answer_recall import AnswerRecall, answer_recall
from xdr.evaluation.word_tokens import PassageTokens, english_word_tokenizer
from xdr.text.records import Query


def query(*answers: str, query_id: str = "q") -> Query:
    return Query(query_id, "?", "fi", answers)


def recall_of(answers: Sequence[str], texts: Sequence[str], *budgets: int) -> AnswerRecall:
    return answer_recall([query(*answers)], {"s": [list(range(len(texts)))]}, texts.__getitem__, budgets)["s"]


def hits(answers: Sequence[str], texts: Sequence[str], *budgets: int) -> list[float]:
    values = recall_of(answers, texts, *budgets).values
    return [float(values[budget][0]) for budget in budgets]


def test_an_answer_counts_from_the_budget_on_that_holds_all_its_tokens() -> None:
    assert hits(["Nile Delta"], ["a b c", "d Nile Delta e"], 5, 6, 7) == [0, 1, 1]


def test_half_of_a_token_is_a_match_and_the_cut_is_by_whole_tokens() -> None:
    assert hits(["ile"], ["the Nile"], 1, 2) == [0, 1]


def test_an_answer_may_span_two_passages() -> None:
    assert hits(["c d"], ["a b c", "", "d e"], 3, 4) == [0, 1]


def test_an_answer_is_not_tokenised() -> None:
    """`Nile, Egypt` never stands in `Nile , Egypt`."""
    assert hits(["Nile, Egypt"], ["the Nile, Egypt"], 10) == [0]
    assert hits(["Nile , Egypt"], ["the Nile, Egypt"], 10) == [1]


def test_an_answer_with_a_quotation_mark_finds_what_the_tokeniser_made_of_it() -> None:
    assert hits(["``"], ['say "yes"'], 10) == [1]
    assert hits(['"'], ['say "yes"'], 10) == [0]
    assert hits(["'' now"], ['say "yes" now'], 10) == [1]


def test_yes_and_no_are_no_answers() -> None:
    assert np.isnan(hits(["yes", "no"], ["yes no"], 10)[0])
    assert np.isnan(hits([], ["yes no"], 10)[0])
    assert hits(["no", "Yes"], ["yes no"], 10) == [0]


def test_rankings_with_too_few_tokens_are_counted() -> None:
    assert recall_of(["x"], ["a b c", "d"], 4).num_short == 0
    assert recall_of(["x"], ["a b c", "d"], 5).num_short == 1
    assert recall_of(["x"], ["a,b,c"], 5).num_short == 0  # one word, five tokens
    assert recall_of(["x"], ["a.b.c"], 5).num_short == 1  # one word, one token
    assert recall_of(["yes"], ["a"], 5).num_short == 0


def test_passages_without_the_answers_letters_are_not_tokenised() -> None:
    texts = {i: f"passage {i} about the river" for i in range(50)}
    passages = PassageTokens(texts.__getitem__)
    answer_recall([query("Volga")], {"s": [list(texts)]}, texts.__getitem__, (20, 50), passages)
    assert passages.num_tokenized == 0
    answer_recall([query("passage 0")], {"s": [list(texts)]}, texts.__getitem__, (100, 200), passages)
    assert passages.num_tokenized == 1


@pytest.mark.parametrize(("place", "tokenized", "values"), [(30, 1, [0, 1]), (10, 1, [1, 1]), (60, 0, [0, 0])])
def test_an_answer_far_from_a_budget_s_end_is_decided_by_the_passage_it_stands_in(
    place: int, tokenized: int, values: list[float]
) -> None:
    """Passages of ninety to a hundred tokens, and budgets of 2,000 and 5,000."""
    texts = [f"{'word ' * 88}well-being, number {i}." for i in range(70)]
    texts[place] += " Volga"
    passages = PassageTokens(texts.__getitem__)
    found = answer_recall([query("Volga")], {"s": [list(range(70))]}, texts.__getitem__, (2000, 5000), passages)
    assert [found["s"].values[budget][0] for budget in (2000, 5000)] == values
    assert passages.num_tokenized == tokenized


def test_passages_are_tokenised_until_their_number_of_tokens_decides() -> None:
    """The answer is token 21 x 90 + 1 = 1,891. A passage is of 90 tokens, of 92 for all that can be seen: when 17 are known to
    be shorter, it is within 1,900 for certain."""
    texts = [f"{'word ' * 86}well-being goes on." for _ in range(30)]
    texts[21] = "Volga"
    for budget, value, tokenized in ((1900, 1, 17 + 1), (1890, 0, 21 + 1)):
        passages = PassageTokens(texts.__getitem__)
        found = answer_recall([query("Volga")], {"s": [list(range(30))]}, texts.__getitem__, (budget,), passages)
        assert found["s"].values[budget][0] == value
        assert passages.num_tokenized == tokenized


words = st.lists(st.sampled_from((*PIECES, "a ", "b ", "Nile ")), max_size=8).map("".join)


@settings(max_examples=2000, deadline=None)
@given(
    st.lists(words, max_size=5), st.lists(words, min_size=1, max_size=2), st.sets(st.integers(1, 25), min_size=1, max_size=3)
)
def test_messy_text_scores_as_the_official_script_scores_it(texts: list[str], answers: list[str], budgets: set[int]) -> None:
    expected = [official_hit(answers, texts, budget, english_word_tokenizer()) for budget in sorted(budgets)]
    assert hits(answers, texts, *sorted(budgets)) == expected


@pytest.fixture
def real_texts(real_data) -> list[str]:
    """English and French passages of AfriQA, and XQuAD's in eleven languages."""
    from xdr.benchmarks.xquad_r import XquadR

    choices = {"unit": "paragraph", "judge": "multilingual", "holdout": "none", "regime": "x_x"}
    languages = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
    xquad = XquadR(path=str(real_data("xquad-r")), languages=languages, **choices)
    return real_passages(real_data("afriqa")) + [passage.text for passage in xquad.passages(Problems(strict=False))]


def test_thousands_of_real_rankings_score_as_the_official_script_scores_them(real_data, real_texts: list[str]) -> None:
    """Answers of XOR-TyDi, and spans cut out of the passages themselves, at quotation marks, in the middle of words and across
    sentences. Five systems rank overlapping passages, small budgets make every cut matter, and little is remembered."""
    rng = random.Random(0)
    questions = list(read_questions(real_data("xor-tydi") / "xor_dev_retrieve_eng_span_v1_1.jsonl", Problems()))
    queries, rankings = [], {f"s{s}": [] for s in range(5)}
    for i in range(600):
        pool = rng.sample(range(len(real_texts)), 12)
        queries.append(query(*_answers(rng, questions[i].answers, real_texts[rng.choice(pool)]), query_id=str(i)))
        for ranking in rankings.values():
            ranking.append(rng.sample(pool, rng.randint(0, 10)))
    tokens = cache(lambda i: english_word_tokenizer()(real_texts[i]))
    budgets = (50, 400, 1000)
    passages = PassageTokens(real_texts.__getitem__, capacity_characters=20_000)
    found = answer_recall(queries, rankings, real_texts.__getitem__, budgets, passages)
    num_values, num_hits = 0, 0
    for system, ranking in rankings.items():
        for budget in budgets:
            for q, ranked, value in zip(queries, ranking, found[system].values[budget], strict=True):
                expected = official_hit(q.answers, ranked, budget, tokens)
                assert np.isnan(value) if expected is None else value == expected, (q, ranked, budget)
                num_values += expected is not None
                num_hits += bool(expected)
    assert num_values > 8000 and 1000 < num_hits < num_values - 1000
    shorts = [sum(len(tokens(p)) for p in ranked) < 1000 for ranked in rankings["s0"]]
    answerable = [any(answer not in ("yes", "no") for answer in q.answers) for q in queries]
    assert found["s0"].num_short == sum(short and valid for short, valid in zip(shorts, answerable, strict=True))


def _answers(rng: random.Random, official: tuple[str, ...], text: str) -> tuple[str, ...]:
    start = rng.randrange(len(text))
    quoted = [i for i, character in enumerate(text) if character in "\"'"]
    if quoted and rng.random() < 0.5:
        start = max(0, rng.choice(quoted) - rng.randint(0, 5))
    span = text[start : start + rng.randint(1, 25)]
    return rng.choice([official, (span,), (" ".join(english_word_tokenizer()(span)),), (span.strip(), "no")])
