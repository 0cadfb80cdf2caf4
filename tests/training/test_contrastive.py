import math
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.util import cos_sim
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.training.contrastive import contrastive_loss, excluded_passages


def test_the_loss_is_what_the_formula_says() -> None:
    queries = torch.tensor([[1.0, 0.0]])
    passages = torch.tensor([[2.0, 0.0], [1.0, 5.0], [0.0, 1.0]])  # scores 2, 1, 0
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(1) + math.exp(0)))
    assert contrastive_loss(queries, passages, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)
    without_second = torch.tensor([[False, True, False]])
    expected = -math.log(math.exp(1) / (math.exp(1) + math.exp(0)))
    loss = contrastive_loss(queries, passages, torch.tensor([0]), without_second, scale=0.5)
    assert loss.item() == pytest.approx(-math.log(math.exp(1) / (math.exp(1) + 1)), abs=1e-6) == pytest.approx(expected)


def test_known_positives_and_repeated_passages_are_no_negatives() -> None:
    keys = torch.tensor([7, 8, 9, 7, 8, 8])
    positives = torch.tensor([[7, 9], [8, -1]])
    targets = torch.tensor([0, 4])
    assert excluded_passages(keys, positives, targets).tolist() == [
        # 7: target   8: first   9: positive   7: again   8, 8: again
        [False, False, True, True, True, True],
        # 7          8: positive  9      7: again  8: target  8: again
        [False, True, False, True, False, True],
    ]


@pytest.mark.parametrize("negatives", [False, True])
def test_loss_and_gradients_equal_sentence_transformers(small_models: dict[str, Path], negatives: bool) -> None:
    folder = str(small_models["bert"])
    transformer = Transformer(folder)
    judge = SentenceTransformer(modules=[transformer, Pooling(64, pooling_mode="cls")], device="cpu")
    columns = [TEXTS[0:2], TEXTS[2:4], *([TEXTS[4:6]] if negatives else [])]
    features = [judge.preprocess(column) if hasattr(judge, "preprocess") else judge.tokenize(column) for column in columns]
    expected = MultipleNegativesRankingLoss(judge, scale=20.0, similarity_fct=cos_sim)(features, None)
    expected.backward()

    encoder = TransformerEncoder(load_backbone(folder, torch.float32, "packed"), "first", True, "packed").train()
    ours = BiEncoder(encoder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [columns[1][0], columns[2][0], columns[1][1], columns[2][1]] if negatives else columns[1]
    queries, passages = (texts_of(tokenizer(list(texts)).input_ids) for texts in (columns[0], rows))
    loss = contrastive_loss(*ours(queries, passages), torch.tensor([0, 2] if negatives else [0, 1]), None, 20.0)
    loss.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    theirs = {name.split("auto_model.")[-1].split("model.")[-1]: p.grad for name, p in judge.named_parameters()}
    compared = 0
    for name, parameter in encoder.backbone.named_parameters():
        if theirs.get(name) is not None:
            torch.testing.assert_close(parameter.grad, theirs[name], atol=1e-5, rtol=1e-4)
            compared += 1
    assert compared == len(list(encoder.backbone.parameters()))
