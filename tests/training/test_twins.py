import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.training.test_two_processes import Letters
from xdr.data.collection_folder import CollectionFolder
from xdr.data.problems import Problems
from xdr.data.training_set import TrainingSet, training_set
from xdr.encoders.input_format import InputFormat
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.objectives.losses import Combined, RetrieverObjective, contrastive, margin_mse
from xdr.objectives.train_batch import TrainBatch
from xdr.objectives.twin_losses import consistency
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.batches import BatchSettings
from xdr.training.bi_encoder_data import BiEncoderData
from xdr.training.twins import check_twins, try_objective, with_generated_twins

CONTRASTIVE = partial(contrastive, both_directions=False)
CONSISTENCY = partial(consistency, teacher="query", stop_gradient=True, teacher_temperature=1.0)


def examples(num_twins: list[int]) -> TrainingSet:
    return training_set(
        TrainingExample(
            Query(f"q{i}", "abc", "fi"),
            (Passage(f"p{i}", "", "text"),),
            twins=tuple(Query("", "xyz"[: j + 1], "en") for j in range(number)),
        )
        for i, number in enumerate(num_twins)
    )


def batches(twins_per_query: int) -> BatchSettings:
    return BatchSettings(2, 1, "mixed", 0.5, None, 0, twins_per_query=twins_per_query)


def batch_of(num_twins: list[int], twins_per_query: int) -> TrainBatch:
    tokenizer = TextTokenizer(Letters(), InputFormat(8, 8))
    return BiEncoderData(examples(num_twins), [], tokenizer, batches(twins_per_query), 0).first_batch()


def test_a_batch_holds_the_twins_behind_the_queries_and_says_where_one_is_missing() -> None:
    batch = batch_of([1, 3], 2)
    expected = {"q0": [[2, -1], [3, 4]], "q1": [[2, 3], [4, -1]]}[batch.query_ids[0]]
    assert batch.twin_places_QK.tolist() == expected
    assert batch.queries.lengths_B.tolist()[:2] == [3, 3] and len(batch.queries.lengths_B) == 5
    assert batch_of([1, 3], 0).twin_places_QK.shape == (2, 0)


def test_generated_questions_about_a_query_s_passages_are_its_twins(tmp_path: Path) -> None:
    lines = [{"docid": name, "text": "text"} for name in ("p1", "p2", "p3")]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    about = {"p1": {"fi": ["a?", "b?"], "te": ["c?"]}, "p3": {"fi": ["d?"]}}
    source = tmp_path / "generated.jsonl"
    source.write_text("".join(json.dumps({"docid": k, "generated_queries": v}) + "\n" for k, v in about.items()))
    passages = [Passage(name, "", "text") for name in ("p1", "p2", "p3", "unknown")]
    asked = [
        TrainingExample(Query("q1", "b?", "fi"), (passages[0], passages[2])),
        TrainingExample(Query("q2", "e?", "fi"), (passages[1], passages[3]), twins=(Query("q2", "f?", "en"),)),
    ]
    given = partial(
        with_generated_twins,
        benchmark=CollectionFolder(str(tmp_path)),
        artifacts_dir=tmp_path / "a",
        problems=Problems(),
    )
    found = given(asked, str(source))
    assert [[(twin.text, twin.language) for twin in example.twins] for example in found] == [
        [("a?", "fi"), ("c?", "te"), ("d?", "fi")],  # but not the query itself
        [],
    ]
    with pytest.raises(UserError, match="has no questions about the passages of the 1 training examples"):
        given(asked[1:], str(source))
    with pytest.raises(UserError, match=r"data\.twins must be a folder of stage=generate, or a file or pattern"):
        given(asked, "nowhere")


def test_twins_that_are_missing_or_left_out_are_refused() -> None:
    check_twins(examples([0, 1]), batches(1), None)
    check_twins(examples([0, 1]), batches(0), None)
    check_twins(replace(examples([0]), reword=lambda query, seed, epoch: "x"), batches(1), "given")
    with pytest.raises(UserError, match=r"twins_per_query must be 0 for data without other wordings of its queries, got 2"):
        check_twins(examples([0, 0]), batches(2), None)
    with pytest.raises(UserError, match=r"twins_per_query must be at least 1 with data\.twins, got 0"):
        check_twins(examples([1]), batches(0), "folder")


@pytest.mark.parametrize(
    ("objective", "twins_per_query", "says"),
    [
        (CONSISTENCY, 0, r"twins_per_query must be at least 1 with an objective that compares"),
        (CONTRASTIVE, 1, r"twins_per_query must be 0 with an objective that does not use other wordings of queries, got 1"),
        (margin_mse, 0, "needs a teacher's scores"),
    ],
)
def test_an_objective_refuses_batches_before_the_training(
    objective: RetrieverObjective, twins_per_query: int, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        try_objective(objective, batch_of([1, 1], twins_per_query))


def test_an_objective_accepts_batches_with_what_it_needs() -> None:
    try_objective(CONTRASTIVE, batch_of([1, 1], 0))
    try_objective(CONSISTENCY, batch_of([0, 1], 1))
    parts = {"contrastive": CONTRASTIVE, "consistency": CONSISTENCY}
    try_objective(Combined(parts, {"contrastive": 1.0, "consistency": 0.0}), batch_of([1, 1], 1))
