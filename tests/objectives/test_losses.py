import math
from functools import partial
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import DistillKLDivLoss, MarginMSELoss, MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.util import cos_sim
from torch import Tensor, nn
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from tests.objectives.labels import labels_of
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.errors import UserError
from xdr.objectives.batch_labels import BatchLabels, positive_and_excluded
from xdr.objectives.losses import (
    Combined,
    RetrieverObjective,
    contrastive,
    distillation,
    info_nce,
    margin_mse,
    multi_positive,
)

TEMPERATURES = {"teacher_temperature": 1.0, "student_temperature": 1.0}


def test_the_loss_is_what_the_formula_says() -> None:
    scores, target, nothing = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]), torch.zeros(1, 3, dtype=torch.bool)
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(1) + math.exp(0)))
    assert info_nce(scores, target, nothing).item() == pytest.approx(expected, abs=1e-6)
    without_second = torch.tensor([[False, True, False]])
    expected = -math.log(math.exp(1) / (math.exp(1) + math.exp(0)))
    assert info_nce(0.5 * scores, target, without_second).item() == pytest.approx(expected, abs=1e-6)


def test_the_divergence_from_a_teacher_is_what_the_formula_says() -> None:
    """The teacher gives 3/4 and 1/4, the scores 1/2 and 1/2; the passage without a teacher's score does not count."""
    scores = torch.tensor([[1.0, 1.0, 9.0]], requires_grad=True)
    labels = labels_of([0], 3, [[2 * math.log(3), 0.0, math.nan]])
    loss = distillation(scores, labels, teacher_temperature=2.0, student_temperature=1.0, in_batch=False)
    assert loss.item() == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5), abs=1e-6)
    loss.backward()
    torch.testing.assert_close(scores.grad, torch.tensor([[0.5 - 0.75, 0.5 - 0.25, 0.0]]))


def test_in_a_batch_the_model_shares_its_probability_with_passages_that_the_teacher_did_not_score() -> None:
    """The scores give 1/4, 1/4 and 2/4 to what counts; the last passage is another known positive."""
    scores = torch.tensor([[0.0, 0.0, math.log(2), 5.0]])
    labels = labels_of(
        [0], 4, [[math.log(3), 0.0, math.nan, math.nan]], other_passages=lambda: torch.tensor([[False, False, True, False]])
    )
    loss = distillation(scores, labels, teacher_temperature=1.0, student_temperature=1.0, in_batch=True)
    assert loss.item() == pytest.approx(0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.25), abs=1e-6)


def test_distillation_and_margins_equal_sentence_transformers() -> None:
    """On vectors of one positive and two negatives a query, which other queries do not see."""
    torch.manual_seed(0)
    columns, teacher = [torch.randn(4, 8) for _ in range(4)], torch.randn(4, 3)
    scores = columns[0] @ torch.stack(columns[1:], 1).flatten(0, 1).T
    listed = torch.block_diag(*torch.ones(4, 1, 3)).bool()
    labels = labels_of([0, 3, 6, 9], 12, torch.full((4, 12), math.nan).masked_scatter(listed, teacher).tolist())
    judge = DistillKLDivLoss(nn.Identity(), student_temperature=2.0, teacher_temperature=3.0)  # type: ignore[arg-type]  # only given vectors
    ours = distillation(scores, labels, teacher_temperature=3.0, student_temperature=2.0, in_batch=False)
    torch.testing.assert_close(ours, judge.compute_loss_from_embeddings(columns, teacher))
    margins = MarginMSELoss(nn.Identity())  # type: ignore[arg-type]  # likewise
    torch.testing.assert_close(margin_mse(scores, labels), margins.compute_loss_from_embeddings(columns, teacher))


def test_a_margin_is_that_of_the_target_over_another_passage_of_the_list() -> None:
    """The model's margins are 1 and 3, the teacher's 2 and 5."""
    labels = labels_of([1], 4, [[3.0, 5.0, 0.0, math.nan]])
    assert margin_mse(torch.tensor([[2.0, 3.0, 0.0, 7.0]]), labels).item() == pytest.approx((1**2 + 2**2) / 2)
    with pytest.raises(UserError, match="passages_per_query must be at least 2 with margins, got 1"):
        margin_mse(torch.zeros(1, 1), labels_of([0], 1, [[3.0]]))


@pytest.mark.parametrize("objective", [margin_mse, partial(distillation, **TEMPERATURES, in_batch=False)])
def test_a_query_without_a_teacher_s_scores_is_refused(objective: RetrieverObjective) -> None:
    with pytest.raises(UserError, match="needs a teacher's scores for every query, got none for 1 of 2"):
        objective(torch.zeros(2, 2), labels_of([0, 1], 2, [[1.0, math.nan], [math.nan, math.nan]]))


def test_every_known_positive_competes_with_the_negatives_alone() -> None:
    """Positives with scores ln 2 and ln 4, negatives with ln 1 and ln 3; the last passage is a copy."""
    scores = torch.tensor([[2.0, 4.0, 1.0, 3.0, 9.0]]).log()
    positives, excluded = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 0, 0, 1]]).bool()[:, None]
    labels = labels_of([0], 5, positives_QP=positives, excluded_QP=excluded)
    assert multi_positive(scores, labels).item() == pytest.approx(-(math.log(2 / 6) + math.log(4 / 8)) / 2, abs=1e-6)
    one = labels_of([0], 5, excluded_QP=excluded)
    torch.testing.assert_close(multi_positive(scores, one), contrastive(scores, one, both_directions=False))


def test_a_combined_loss_is_the_weighted_sum_of_its_parts() -> None:
    class Tempered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(3.0))

        def forward(self, scores_QP: Tensor, labels: BatchLabels) -> dict[str, Tensor]:
            return {"first": self.scale * scores_QP.sum(), "second": scores_QP.sum()}

    contrast = partial(contrastive, both_directions=False)
    combined = Combined({"contrastive": contrast, "own": Tempered()}, {"contrastive": 2.0, "own": 0.5})
    scores, labels = torch.tensor([[1.0, 0.0]]), labels_of([0], 2)
    parts = combined(scores, labels)
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(
        {"contrastive": 2 * math.log(1 + math.exp(-1)), "own/first": 1.5, "own/second": 0.5}
    )
    assert [name for name, _ in combined.named_parameters()] == ["trained.own.scale"]
    with pytest.raises(UserError, match=r"objective\.parts\.own\.weight must be at least 0, got -1"):
        Combined({"own": contrast}, {"own": -1})
    with pytest.raises(UserError, match=r"objective\.parts must name objectives, got none"):
        Combined({}, {})


def test_known_positives_and_repeated_passages_are_no_negatives() -> None:
    keys = torch.tensor([7, 8, 9, 7, 8, 8])
    positives = torch.tensor([[7, 9], [8, -1]])
    targets = torch.tensor([0, 4])
    positives, excluded = positive_and_excluded(keys, positives, targets)
    assert excluded.tolist() == [
        # 7: target   8: first   9: positive   7: again   8, 8: again
        [False, False, True, True, True, True],
        # 7          8: positive  9      7: again  8: target  8: again
        [False, True, False, True, False, True],
    ]
    assert positives.nonzero().tolist() == [[0, 0], [0, 2], [1, 4]], "each passage once"


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
