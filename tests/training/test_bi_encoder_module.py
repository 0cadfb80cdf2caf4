from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import texts_of
from xdr.objectives.batch_labels import language_key
from xdr.objectives.losses import contrastive, total_loss
from xdr.objectives.train_batch import TrainBatch
from xdr.training.bi_encoder_module import BiEncoderModule
from xdr.training.optimizers import AdamW, parameter_groups


def module(learn_scale: bool = False) -> BiEncoderModule:
    return BiEncoderModule(BiEncoder(nn.Linear(2, 2)), score_scale=2.0, learn_scale=learn_scale)


def batch(keys: list[int], positives: list[list[int]], teacher: list[float] | None = None) -> TrainBatch:
    nothing = texts_of([[0]])
    return TrainBatch(
        nothing,
        torch.empty(len(positives), 0, dtype=torch.long),
        torch.empty(len(positives), 0, dtype=torch.long),
        nothing,
        torch.arange(len(keys)),
        torch.tensor(keys),
        torch.tensor(positives),
        torch.tensor(teacher or [torch.nan] * len(keys)),
        torch.tensor([language_key("fi")] * len(positives)),
        torch.tensor([language_key("en")] * len(keys)),
        [str(i) for i in range(len(positives))],
    )


def loss_of(queries: Tensor, passages: Tensor, of: TrainBatch) -> Tensor:
    return contrastive(*module().score(queries, passages, of), both_directions=True)


def test_the_second_direction_is_the_loss_of_passages_over_queries() -> None:
    torch.manual_seed(0)
    queries, passages = torch.randn(3, 4), torch.randn(3, 4)
    scores = 2 * queries @ passages.T
    target = torch.arange(3)
    expected = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
    torch.testing.assert_close(loss_of(queries, passages, batch([1, 2, 3], [[1], [2], [3]])), expected)


def test_queries_of_one_passage_are_no_negatives_of_each_other_in_either_direction() -> None:
    torch.manual_seed(0)
    queries, passages = torch.randn(2, 4), torch.randn(2, 4)
    passages[1] = passages[0]
    one_passage = batch([7, 7], [[7], [7]])
    assert loss_of(queries, passages, one_passage).item() == 0.0, "no negative is left"
    assert module().score(queries, passages, one_passage)[1].excluded_QP.float().mean() == 0.5


def test_an_objective_sees_the_teacher_s_scores_of_each_query_s_own_passages_and_all_languages() -> None:
    of = batch([1, 2, 3, 4], [[1], [3]], teacher=[5.0, 4.0, 3.0, 2.0])
    scores_QP, labels = module().score(torch.eye(2), torch.ones(4, 2), of)
    assert scores_QP.tolist() == [[2.0] * 4] * 2
    assert labels.targets_Q.tolist() == [0, 2]
    torch.testing.assert_close(
        labels.teacher_QP,
        torch.tensor([[5.0, 4.0, torch.nan, torch.nan], [torch.nan, torch.nan, 3.0, 2.0]]),
        equal_nan=True,
    )
    assert (labels.query_languages_Q == language_key("fi")).all()
    assert (labels.passage_languages_P == language_key("en")).all()


def test_a_learned_scale_is_trained_and_a_fixed_one_is_not() -> None:
    assert module(learn_scale=True).log_scale.requires_grad
    assert not module().log_scale.requires_grad


def test_parameters_of_an_objective_that_is_a_module_are_trained() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

    trained = BiEncoderModule(BiEncoder(nn.Linear(2, 2)), Weighted(), AdamW(1.0, 0.0, 0.0), 1)  # type: ignore[arg-type]
    assert "objective.weight" in dict(trained.named_parameters())


def test_biases_are_not_decayed_and_the_rate_goes_up_and_down() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    assert [(len(group["params"]), group["weight_decay"]) for group in parameter_groups(model, 0.1)] == [(1, 0.1), (3, 0.0)]
    built = AdamW(1.0, 0.1, 0.2).build(model, 10)
    schedule = built["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(11):
        rates.append(schedule.get_last_lr()[0])
        built["optimizer"].step()
        schedule.step()
    assert rates == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])


def test_an_objective_of_several_parts_is_their_sum() -> None:
    loss, parts = total_loss({"one": torch.tensor(1.0), "two": torch.tensor(2.5)})
    assert loss.item() == 3.5 and list(parts) == ["one", "two"]
    assert total_loss(torch.tensor(2.0)) == (torch.tensor(2.0), {})


def test_an_objective_is_any_function_of_the_scores_and_the_labels() -> None:
    objective = partial(contrastive, both_directions=False)
    scores_QP, labels = module().score(torch.eye(2), torch.eye(2), batch([1, 2], [[1], [2]]))
    torch.testing.assert_close(objective(scores_QP, labels), F.cross_entropy(2 * torch.eye(2), torch.arange(2)))
