from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdr.evaluation.word_tokens import PassageTokens, english_word_tokenizer, fewest_tokens, letters, most_tokens

PIECES = (
    *"\"'`.,:;?!()[]{}<>&@#$%*-_ \n\t\u00a0\u2028\x1c\u200b«»“”‘’„—–éあ한٣",
    *("''", "``", "--", "...", "n't ", "'s ", "'ll ", "'tis", "cannot ", "wanna ", "more'n ", "d'ye", "Dr. ", "U.S. ", "e.g. "),
    *("the ", "War", "1.5", "1942–1995", " I", "Jusqu'à"),
)
messy_text = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=40)


def test_sentences_are_parted_before_words() -> None:
    """A period goes off the end of a sentence, and stays with an abbreviation inside one: only Punkt's tables know."""
    tokens = english_word_tokenizer()("Mr. Koch came from the U.S. in 1882. He didn't stay.")
    assert tokens == ["Mr.", "Koch", "came", "from", "the", "U.S.", "in", "1882", ".", "He", "did", "n't", "stay", "."]


def test_quotation_marks_are_rewritten_as_nltk_does() -> None:
    assert english_word_tokenizer()('The "Volga" (river)') == ["The", "``", "Volga", "''", "(", "river", ")"]


def test_nltk_finds_the_same_where_its_own_tables_are_installed(real_data) -> None:
    import nltk

    try:
        nltk.word_tokenize("Mr. Koch")
    except LookupError:
        pytest.skip("punkt_tab is not on this machine")
    texts = real_passages(real_data("afriqa"))
    assert all(english_word_tokenizer()(text) == nltk.word_tokenize(text) for text in texts[:500])


def real_passages(folder: Path) -> list[str]:
    from xdr.benchmarks.afriqa import AfriQa
    from xdr.data.problems import Problems

    benchmark = AfriQa(str(folder / "data"), ("ha", "ig", "yo"), "original")
    return [passage.text for passage in benchmark.passages(Problems(strict=False))]


@settings(max_examples=1000, deadline=None)
@given(messy_text)
def test_tokenising_keeps_the_letters_and_the_bounds(text: str) -> None:
    tokens = english_word_tokenizer()(text)
    assert letters(" ".join(tokens)) == letters(text)
    known = PassageTokens(lambda _: text).bounds("p")
    assert known.fewest <= len(tokens) <= known.most


@pytest.mark.parametrize(
    ("text", "fewest", "number", "most"),
    [
        ("one two", 2, 2, 2),
        ("one, two (three)", 5, 6, 6),
        ("1,064 half-moon", 2, 2, 6),  # parted at neither mark, and could be at both
        ("The end.", 2, 3, 3),
        ("The U.S. and", 3, 3, 6),  # what ends a sentence, Punkt knows
        ("We cannot", 2, 3, 3),
        ("don't", 1, 2, 3),
        ('a "b" c', 3, 5, 7),
    ],
)
def test_the_number_of_tokens_is_bounded_without_tokenising(text: str, fewest: int, number: int, most: int) -> None:
    assert (fewest_tokens(text), len(english_word_tokenizer()(text)), most_tokens(text)) == (fewest, number, most)


def test_a_passage_is_tokenised_once() -> None:
    tokenized = []

    def tokenize(text: str) -> list[str]:
        tokenized.append(text)
        return text.split()

    passages = PassageTokens({1: "one two", 2: "three"}.__getitem__, tokenize)
    assert [passages.tokens(key) for key in (1, 2, 1)] == [("one two", 2), ("three", 1), ("one two", 2)]
    assert tokenized == ["one two", "three"]
    assert passages.bounds(2).fewest == passages.bounds(2).most == 1


def test_what_was_asked_for_longest_ago_is_forgotten() -> None:
    """Ten letters and twelve characters of tokens each: two fit."""
    passages = PassageTokens({key: f"{key}aaa bbb ccc" for key in "xyz"}.__getitem__, str.split, capacity_characters=45)
    for key in "xyxzx":
        passages.tokens(key)
    assert passages.num_tokenized == 3
    passages.tokens("y")
    assert passages.num_tokenized == 4
