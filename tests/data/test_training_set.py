from collections import Counter
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from xdr.data.training_set import (
    TrainingSet,
    choose_negatives,
    choose_passages,
    choose_positive,
    choose_twins,
    key_of,
    training_set,
)
from xdr.errors import UserError
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.batches import BatchSettings, check_batch_size, epoch_batches, shares
from xdr.training.validation_pool import validation_pool


def example(number: int, language: str = "fi", passage_language: str = "en", negatives: int = 0) -> TrainingExample:
    return TrainingExample(
        Query(f"q{number}", "?", language),
        (Passage(f"p{number}", "", "text", passage_language),),
        tuple(Passage(f"n{number}-{i}", "", "text", passage_language) for i in range(negatives)),
    )


def examples(*pairs: tuple[str, str, int]) -> TrainingSet:
    """`number` examples of each (question language, passage language)."""
    made = [(language, other) for language, other, number in pairs for _ in range(number)]
    return training_set([example(i, language, other) for i, (language, other) in enumerate(made)])


def test_a_mixed_epoch_shows_every_example_once_in_an_order_of_its_own() -> None:
    data = examples(("fi", "en", 10))
    first, again, other = (epoch_batches(data, BatchSettings(5, 1, "mixed", 0.5, None, 0), 3, epoch) for epoch in (0, 0, 1))
    assert sorted(np.concatenate(first)) == list(range(10))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again] != [batch.tolist() for batch in other]


def test_monolingual_batches_hold_one_language() -> None:
    data = examples(("fi", "en", 7), ("ko", "en", 9))
    batches = epoch_batches(data, BatchSettings(3, 1, "monolingual", 0.5, None, 0), 0, 0)
    assert len(batches) == 2 + 3
    for batch in batches:
        assert len({data.languages()[row] for row in batch}) == 1


def test_cross_lingual_batches_never_pair_a_language_with_itself() -> None:
    data = examples(("fi", "fi", 20), ("fi", "ko", 10), ("ko", "fi", 10))
    rows = np.concatenate(epoch_batches(data, BatchSettings(5, 1, "cross_lingual", 0.5, None, 0), 0, 0))
    assert sorted(rows) == list(range(20, 40))


def test_hybrid_batches_are_monolingual_with_the_probability_asked_for() -> None:
    data = examples(("fi", "fi", 400), ("ko", "ko", 400), ("fi", "ko", 400), ("ko", "fi", 400))
    languages = data.languages()
    kinds = []
    for epoch in range(20):
        for batch in epoch_batches(data, BatchSettings(8, 1, "hybrid", 0.3, None, 0), 0, epoch):
            pairs = {languages[row] for row in batch}
            same = [question == passage for question, passage in pairs]
            assert all(same) or not any(same)
            assert not all(same) or len(pairs) == 1
            kinds.append(all(same))
    assert np.mean(kinds) == pytest.approx(0.3, abs=0.03)


def test_queries_of_a_passage_follow_each_other() -> None:
    pairs = [replace(example(i, "fi"), positives=(Passage(f"p{i % 3}", "", "text"),)) for i in range(60)]
    data = training_set(pairs)
    settings = BatchSettings(60, 1, "by_passage", 0.5, None, 0, queries_per_passage=7)
    (rows,), (again,), (other,) = (epoch_batches(data, settings, 3, epoch) for epoch in (0, 0, 1))
    assert sorted(rows) == list(range(60))
    assert rows.tolist() == again.tolist() != other.tolist()
    runs = [len(list(run)) for _, run in groupby(rows, key=lambda row: row % 3)]
    assert len(runs) <= 9 and max(runs) < 60 / 3, "three runs of six or seven for each passage, of which two may meet"
    with pytest.raises(UserError, match="queries_per_passage must be at least 1, got 0"):
        replace(settings, queries_per_passage=0)


def test_language_weights_repeat_examples_and_leave_them_out() -> None:
    made = [example(i, language) for i, language in enumerate(["fi"] * 100 + ["ko"] * 100 + ["ru"] * 100)]
    data = training_set(made, {"ko": 2.5, "ru": 0})
    counts = Counter(
        made[row].query.language
        for row in np.concatenate(epoch_batches(data, BatchSettings(1, 1, "mixed", 0.5, None, 0), 0, 0))
    )
    assert counts["fi"] == 100
    assert 220 < counts["ko"] < 280
    assert "ru" not in counts
    with pytest.raises(UserError, match="no training query is in 'te'. The languages are fi ko ru"):
        training_set(made, {"te": 2})
    with pytest.raises(UserError, match=r"language_weights must be balanced or \{code: number, ...\}, got 'ko'"):
        training_set(made, "ko")
    with pytest.raises(UserError, match="language_weights must be at least 0, got -1 for 'ko'"):
        training_set(made, {"ko": -1})


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="a mixed batch must have 8 examples, got 3 of 3 that"):
        epoch_batches(examples(("fi", "en", 3)), BatchSettings(8, 1, "mixed", 0.5, None, 0), 0, 0)
    with pytest.raises(UserError, match="a monolingual batch must have 8 examples, got 7 of 13 that"):
        epoch_batches(examples(("fi", "en", 6), ("fi", "fi", 7)), BatchSettings(8, 1, "monolingual", 0.5, None, 0), 0, 0)
    with pytest.raises(UserError, match="a cross_lingual batch must have 8 examples, got 6 of 13 that"):
        epoch_batches(examples(("fi", "en", 6), ("fi", "fi", 7)), BatchSettings(8, 1, "cross_lingual", 0.5, None, 0), 0, 0)
    with pytest.raises(UserError, match="hybrid batches must have .* got 0 in all languages, and 10"):
        epoch_batches(examples(("fi", "en", 10)), BatchSettings(2, 1, "hybrid", 0.5, None, 0), 0, 0)
    with pytest.raises(UserError, match="there are no examples to train on"):
        training_set([])
    with pytest.raises(UserError, match="batch_size must be a multiple of the 2 processes, got 9"):
        check_batch_size(9, 2)


def test_processes_share_a_batch_without_overlap() -> None:
    assert [shares(np.arange(6), rank, 3).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_negatives_are_a_window_that_moves_through_the_list_of_a_query() -> None:
    one = example(1, negatives=6)
    drawn = [[passage.passage_id for passage in choose_negatives(one, 2, 0, epoch)] for epoch in range(4)]
    assert {passage_id for window in drawn[:3] for passage_id in window} == {passage.passage_id for passage in one.negatives}
    assert drawn[3] == drawn[0]
    assert choose_negatives(one, 2, 0, 1) == choose_negatives(one, 2, 0, 1)


def test_too_few_negatives_are_drawn_again_and_none_at_all_is_refused() -> None:
    drawn = choose_negatives(example(1, negatives=2), 7, 0, 0)
    assert len(drawn) == 7
    assert len({passage.passage_id for passage in drawn}) <= 2
    assert choose_negatives(example(1), 0, 0, 0) == []
    with pytest.raises(UserError, match="a negative passage .* got none for query 'q1'. Set passages_per_query=1"):
        choose_negatives(example(1), 1, 0, 0)


def test_positives_take_turns_over_the_epochs() -> None:
    passages = tuple(Passage(str(i), "", "text") for i in range(3))
    one = TrainingExample(Query("q", "?", "fi"), passages)
    assert {choose_positive(one, 0, epoch).passage_id for epoch in range(3)} == {"0", "1", "2"}


def test_keys_are_never_the_filler() -> None:
    keys = [key_of(str(i)) for i in range(1000)]
    assert min(keys) >= 0
    assert len(set(keys)) == 1000
    assert max(keys) < 2**63


def test_the_pool_holds_what_answers_first_and_then_others_up_to_its_size() -> None:
    dev, train = [example(1), example(2)], [example(3, negatives=5)]
    pool = validation_pool(dev, train, 4)
    assert [passage.passage_id for passage in pool.passages] == ["n3-0", "p1", "p2", "p3"]
    assert pool.relevant == [[1], [2]]
    assert len(validation_pool(dev, train, 1).passages) == 2
    with pytest.raises(UserError, match="Validation needs dev examples"):
        validation_pool([], train, 4)


def test_scores_are_chosen_along_with_their_passages() -> None:
    """The score of a passage is its number here."""
    positives = tuple(Passage(str(i), "", "text") for i in range(3))
    negatives = tuple(Passage(str(i), "", "text") for i in range(10, 16))
    query = Query("q", "?", "fi")
    scored = TrainingExample(query, positives, negatives, (0.0, 1.0, 2.0), tuple(map(float, range(10, 16))))
    for number in (0, 2, 7):
        for epoch in range(4):
            chosen = choose_passages(scored, number, 0, epoch)
            assert chosen.scores == [float(passage.passage_id) for passage in chosen.passages]
            expected = [choose_positive(scored, 0, epoch), *choose_negatives(scored, number, 0, epoch)]
            assert chosen.passages == expected
    half = TrainingExample(query, positives, negatives, (0.0, 1.0, 2.0))
    assert choose_passages(half, 2, 0, 0).scores == []
    assert len(choose_passages(half, 0, 0, 0).scores) == 1


def test_twins_take_turns_and_none_comes_twice_in_an_epoch() -> None:
    wordings = [replace(example(1).query, text=text) for text in "abcde"]
    one = replace(example(1), twins=tuple(wordings))
    epochs = [choose_twins(one, 2, 7, epoch) for epoch in range(5)]
    assert Counter(twin for twins in epochs for twin in twins) == dict.fromkeys("abcde", 2)
    assert all(len(set(twins)) == 2 for twins in epochs)
    assert epochs[1] == choose_twins(one, 2, 7, 1), "of seed and epoch alone"
    assert sorted(choose_twins(one, 9, 7, 3)) == list("abcde"), "an example that has fewer gives fewer"
    assert choose_twins(example(1), 2, 7, 0) == [] == choose_twins(one, 0, 7, 0)


def test_a_function_words_a_query_anew_for_each_twin_and_epoch() -> None:
    asked = []

    def reword(query: Query, seed: int, epoch: int) -> str:
        asked.append((seed, epoch))
        return query.text.upper()

    assert choose_twins(replace(example(1), twins=()), 2, 7, 3, reword) == ["?", "?"]
    assert len({seed for seed, _ in asked}) == 2 and {epoch for _, epoch in asked} == {3}
