import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import texts_of
from xdr.training.bi_encoder_data import TrainBatch
from xdr.training.bi_encoder_module import BiEncoderModule, Objective, Optimizer
from xdr.training.schedule import adamw, linear_schedule


def module(**objective: object) -> BiEncoderModule:
    settings = {"scale": 2.0, "learn_scale": False, "both_directions": False, "chunk_size": 0, **objective}
    return BiEncoderModule(BiEncoder(nn.Linear(2, 2)), Objective(**settings), Optimizer(1e-3, 0.1, 0.5), 10, {})


def batch(keys: list[int], positives: list[list[int]]) -> TrainBatch:
    nothing = texts_of([[0]])
    places = torch.arange(len(keys))
    return TrainBatch(
        nothing, nothing, places, torch.tensor(keys), torch.tensor(positives), [str(i) for i in range(len(positives))]
    )


def test_the_second_direction_is_the_loss_of_passages_over_queries() -> None:
    torch.manual_seed(0)
    queries, passages = torch.randn(3, 4), torch.randn(3, 4)
    scores = 2 * queries @ passages.T
    target = torch.arange(3)
    expected = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
    loss, masked = module(both_directions=True).loss(queries, passages, batch([1, 2, 3], [[1], [2], [3]]))
    torch.testing.assert_close(loss, expected)
    assert masked == 0


def test_queries_of_one_passage_are_no_negatives_of_each_other_in_either_direction() -> None:
    torch.manual_seed(0)
    queries, passages = torch.randn(2, 4), torch.randn(2, 4)
    passages[1] = passages[0]
    loss, masked = module(both_directions=True).loss(queries, passages, batch([7, 7], [[7], [7]]))
    assert loss.item() == 0.0, "nothing is left to tell apart"
    assert masked == 0.5


def test_a_learned_scale_is_trained_and_a_fixed_one_is_not() -> None:
    assert module(learn_scale=True).log_scale.requires_grad
    assert not module().log_scale.requires_grad


def test_biases_are_not_decayed_and_the_rate_goes_up_and_down() -> None:
    optimizer = adamw(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), 1.0, 0.1)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [(1, 0.1), (3, 0.0)]
    schedule = linear_schedule(optimizer, 10, 0.2)
    rates = []
    for _ in range(11):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])
