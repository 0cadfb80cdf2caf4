"""Training by token alignment: a frozen teacher reads the translations."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.encoders.conftest import TEXTS
from tests.late_interaction.conftest import colbert
from xdr.benchmarks.parallel_sentences import ParallelSentences
from xdr.data.problems import Problems
from xdr.data.training_set import ChosenPassages
from xdr.encoders.bi_encoder import BiEncoder
from xdr.errors import DataError, UserError
from xdr.late_interaction.token_alignment import alignment_losses
from xdr.late_interaction.token_encoder_folder import save_token_encoder
from xdr.objectives.token_alignment import TokenAlignment
from xdr.objectives.train_batch import TrainBatch
from xdr.text.records import TrainingExample
from xdr.training.bi_encoder_data import ChosenExample, collate
from xdr.training.bi_encoder_module import BiEncoderModule

FINNISH, ENGLISH = ["Missä Saimaa sijaitsee?", "a", "Где течёт Волга?"], [TEXTS[0], "a", TEXTS[4]]


def parallel(folder: Path) -> list[TrainingExample]:
    (folder / "fi-en").mkdir(parents=True)
    (folder / "fi-en" / "fi.txt").write_text("\n".join(FINNISH), encoding="utf-8")
    (folder / "fi-en" / "en.txt").write_text("\n".join(ENGLISH), encoding="utf-8")
    return list(ParallelSentences(str(folder), ("fi",)).examples("train", Problems()))


def batch(tokenizer: Any, examples: list[TrainingExample], num_twins: int = 1) -> TrainBatch:
    twins = [[twin.text for twin in example.twins][:num_twins] for example in examples]
    chosen = [ChosenPassages(example.positives, None) for example in examples]
    return collate(tokenizer, num_twins, [ChosenExample(*item) for item in zip(examples, chosen, twins, strict=True)])


def test_pairs_are_examples_whose_passage_and_twin_is_the_translation(tmp_path: Path) -> None:
    examples = parallel(tmp_path)
    assert [example.query.text for example in examples] == FINNISH
    assert [example.positives[0].text for example in examples] == ENGLISH == [example.twins[0].text for example in examples]
    assert {example.twins[0].language for example in examples} == {"en"}
    (tmp_path / "fi-en" / "en.txt").write_text("\n".join([*ENGLISH, "more"]), encoding="utf-8")
    with pytest.raises(DataError, match=r"fi.txt.* as many lines as en.txt beside it, 4, got 3"):
        list(ParallelSentences(str(tmp_path), ("fi",)).examples("train", Problems()))


def test_the_loss_is_that_of_the_texts_on_both_sides_and_falls(small_models: dict[str, Path], tmp_path: Path) -> None:
    model, tokenizer = colbert(small_models["bert"]).build(tmp_path, 1)
    objective = TokenAlignment(None, 0.25)
    objective.begin(model, tokenizer)
    teacher = copy.deepcopy(model)
    module = BiEncoderModule(model, objective)
    logged: dict[str, Tensor] = {}

    def log_dict(values: Mapping[str, Tensor], **_: Any) -> None:
        logged.update(values)

    module.log, module.log_dict = lambda *args, **kwargs: None, log_dict  # type: ignore[method-assign, assignment]  # there is no trainer
    of = batch(tokenizer, parallel(tmp_path))
    student = model.encode_queries(tokenizer.queries(FINNISH)), model.encode_passages(of.passages)
    expected = alignment_losses(student, (teacher.encode_queries(tokenizer.queries(ENGLISH)), student[1].detach()), 0.25)
    first = module.training_step(of, 0)
    torch.testing.assert_close(first, expected["queries"] + expected["passages"])
    assert logged["loss/passages"].item() == pytest.approx(0.0, abs=1e-9), "the teacher is the model before the training"

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(15):
        optimizer.zero_grad()
        loss = module.training_step(of, 0)
        loss.backward()
        optimizer.step()
    assert loss < first / 2
    assert not [name for name in module.state_dict() if name.startswith("objective")], "the teacher is in no checkpoint"


def test_what_it_cannot_align_is_refused(small_models: dict[str, Path], tmp_path: Path) -> None:
    model, tokenizer = colbert(small_models["bert"]).build(tmp_path, 1)
    save_token_encoder(model, tokenizer, tmp_path / "teacher")
    with pytest.raises(UserError, match="query_weight must be from 0 to 1, got 2"):
        TokenAlignment(None, 2)
    with pytest.raises(UserError, match="model must be colbert"):
        TokenAlignment(None, 0.5).begin(BiEncoder(model), tokenizer)
    other, of_other = colbert(small_models["xlm-roberta"]).build(tmp_path, 1)
    with pytest.raises(UserError, match="must have the tokenizer of the model"):
        TokenAlignment(str(tmp_path / "teacher"), 0.5).begin(other, of_other)
    larger, of_larger = colbert(small_models["bert"], query_length=20).build(tmp_path, 1)
    with pytest.raises(UserError, match="must have the dimension and the tokens of the model"):
        TokenAlignment(str(tmp_path / "teacher"), 0.5).begin(larger, of_larger)
    objective = TokenAlignment(str(tmp_path / "teacher"), 0.5)
    objective.begin(model, tokenizer)
    with pytest.raises(UserError, match="twins_per_query must be 1 .* every query must have a translation"):
        objective(model, batch(tokenizer, parallel(tmp_path), num_twins=0), 0)
