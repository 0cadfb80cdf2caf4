"""Training of a late-interaction encoder, by the module, batches and objectives of a bi-encoder."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss

from tests.late_interaction.conftest import colbert
from xdr.data.training_set import ChosenPassages
from xdr.late_interaction.token_encoder_folder import save_token_encoder
from xdr.objectives.losses import contrastive
from xdr.objectives.train_batch import TrainBatch
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.bi_encoder_data import ChosenExample, collate
from xdr.training.bi_encoder_module import BiEncoderModule

QUERIES = ["Where is Saimaa?", "Missä Saimaa sijaitsee?", "a"]
POSITIVES = ["Saimaa is the largest lake in Finland.", "The Volga, it flows.", "富士山の高さは？"]
NEGATIVES = ["김치는 언제 담가요?", "Russia", "The Caspian Sea (in Europe)."]


def batch(tokenizer: Any) -> TrainBatch:
    items = []
    for place, texts in enumerate(zip(QUERIES, POSITIVES, NEGATIVES, strict=True)):
        positive, negative = (Passage(f"{place}{kind}", "", text) for kind, text in zip("+-", texts[1:], strict=True))
        example = TrainingExample(Query(str(place), texts[0], "fi"), (positive,), (negative,))
        items.append(ChosenExample(example, ChosenPassages((positive, negative), None), []))
    return collate(tokenizer, 0, items)


@pytest.mark.parametrize("chunk_size", [0, 2])
@pytest.mark.parametrize("attend", [False, True])
def test_loss_and_gradients_are_those_of_sentence_transformers(
    chunk_size: int, attend: bool, small_models: dict[str, Path], tmp_path: Path
) -> None:
    encoder, tokenizer = colbert(small_models["bert"], attend_to_expansion=attend).build(tmp_path, 1)
    save_token_encoder(encoder, tokenizer, tmp_path / "saved")
    theirs = MultiVectorEncoder(str(tmp_path / "saved"), device="cpu")
    columns = [theirs.preprocess(texts, task=task) for texts, task in zip((QUERIES, POSITIVES, NEGATIVES), TASKS, strict=True)]
    expected = MultiVectorMultipleNegativesRankingLoss(theirs, scale=0.5)(columns)
    expected.backward()

    module = BiEncoderModule(encoder, partial(contrastive, both_directions=False), score_scale=0.5, chunk_size=chunk_size)
    module.log = module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]  # there is no trainer
    loss = module.training_step(batch(tokenizer), 0)
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    gradients = {name: weight.grad for name, weight in theirs[0].model.named_parameters() if weight.grad is not None}
    gradients["projection"] = theirs[1].linear.weight.grad
    own = dict(encoder.backbone.named_parameters()) | {"projection": encoder.layers[0].linear.weight}
    assert len(gradients) > 20
    for name, gradient in gradients.items():
        torch.testing.assert_close(own[name].grad, gradient, atol=1e-5, rtol=1e-4, msg=name)


TASKS = ("query", "document", "document")
