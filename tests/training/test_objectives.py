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
from xdr.errors import UserError
from xdr.training.batch_labels import BatchLabels, excluded_passages
from xdr.training.objectives import distillation, info_nce, list_kl


def test_the_loss_is_what_the_formula_says() -> None:
    scores, target, nothing = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]), torch.zeros(1, 3, dtype=torch.bool)
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(1) + math.exp(0)))
    assert info_nce(scores, target, nothing).item() == pytest.approx(expected, abs=1e-6)
    without_second = torch.tensor([[False, True, False]])
    expected = -math.log(math.exp(1) / (math.exp(1) + math.exp(0)))
    assert info_nce(0.5 * scores, target, without_second).item() == pytest.approx(expected, abs=1e-6)


def test_the_divergence_from_a_teacher_is_what_the_formula_says() -> None:
    """The teacher gives 3/4 and 1/4, the scores 1/2 and 1/2; the passage without a teacher's score does not count."""
    scores = torch.tensor([[1.0, 1.0, 9.0]])
    teacher = torch.tensor([[math.log(3), 0.0, math.nan]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert list_kl(scores, teacher).item() == pytest.approx(expected, abs=1e-6)
    assert list_kl(teacher.nan_to_num(9.0), teacher).item() == pytest.approx(0.0, abs=1e-6)


def test_distillation_is_the_divergence_plus_a_share_of_the_contrastive_loss() -> None:
    scores = torch.tensor([[1.0, 1.0]], requires_grad=True)
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    labels = BatchLabels(
        torch.tensor([0]),
        torch.zeros(1, 2, dtype=torch.bool),
        teacher,
        torch.zeros(1),
        torch.zeros(2),
        lambda: None,  # type: ignore[arg-type, return-value]  # not called
    )
    parts = distillation(scores, labels, temperature=2.0, contrastive_weight=0.5)
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert parts["distillation"].item() == pytest.approx(expected, abs=1e-6)
    assert parts["contrastive"].item() == pytest.approx(0.5 * math.log(2), abs=1e-6)
    parts["distillation"].backward()
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, torch.tensor([[0.5 - 0.75, 0.5 - 0.25]]))
    assert list(distillation(scores, labels, temperature=1.0, contrastive_weight=0.0)) == ["distillation"]


def test_a_query_without_a_teacher_s_scores_is_refused() -> None:
    with pytest.raises(UserError, match="needs a teacher's scores for every query, got none for 1 of 2"):
        list_kl(torch.zeros(2, 2), torch.tensor([[1.0, math.nan], [math.nan, math.nan]]))


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
    queries_QD, passages_PD = ours(queries, passages)
    scores_QP = 20.0 * queries_QD @ passages_PD.T
    targets = torch.tensor([0, 2] if negatives else [0, 1])
    loss = info_nce(scores_QP, targets, torch.zeros_like(scores_QP, dtype=torch.bool))
    loss.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    theirs = {name.split("auto_model.")[-1].split("model.")[-1]: p.grad for name, p in judge.named_parameters()}
    compared = 0
    for name, parameter in encoder.backbone.named_parameters():
        if theirs.get(name) is not None:
            torch.testing.assert_close(parameter.grad, theirs[name], atol=1e-5, rtol=1e-4)
            compared += 1
    assert compared == len(list(encoder.backbone.parameters()))
