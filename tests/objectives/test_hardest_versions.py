"""The version of a query that has the highest loss: chosen by hand, and trained as if the batch had held it alone."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import Texts, texts_of
from xdr.objectives.hardest_versions import summary, version_losses, with_hardest
from xdr.objectives.losses import Combined, contrastive
from xdr.objectives.train_batch import TrainBatch
from xdr.objectives.twin_losses import consistency
from xdr.training.bi_encoder_module import BiEncoderModule

EAST, NORTH, NORTHEAST, WEST = (0, 1, 2, 3)
"""Tokens of this test, and the rows of their vectors."""

VECTORS = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]]
CONTRASTIVE = partial(contrastive, both_directions=False)
TAUGHT = Combined(
    {"contrastive": CONTRASTIVE, "taught": partial(consistency, teacher="query", stop_gradient=True, teacher_temperature=1.0)},
    {"contrastive": 1.0, "taught": 1.0},
)


class OneToken(nn.Module):
    """The vector of a text of one token is a row of the table; `dropout` applies in training mode."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(VECTORS))
        self.dropout = nn.Dropout(dropout)

    def forward(self, texts: Texts) -> Tensor:
        vectors_BD: Tensor = self.dropout(self.table[texts.ids_T])
        return vectors_BD


def batch_of(queries: list[int], twins: list[list[int]], versions: list[list[int]], positives: list[list[int]]) -> TrainBatch:
    """`queries` are tokens. `twins` and `versions` are places among them. The passages are east (key 1) and north (key 2)."""
    return TrainBatch(
        texts_of([[token] for token in queries]),
        torch.tensor(twins, dtype=torch.long).view(2, -1),
        torch.tensor(versions, dtype=torch.long).view(2, -1),
        texts_of([[EAST], [NORTH]]),
        torch.arange(2),
        torch.tensor([1, 2]),
        torch.tensor(positives),
        torch.full((2,), torch.nan),
        torch.zeros(2),
        torch.zeros(2),
        ["q0", "q1"],
    )


def in_place(positives: list[list[int]] | None = None) -> TrainBatch:
    """The first query has three versions, the second none."""
    versions = [[2, 3, 4], [-1, -1, -1]]
    return batch_of([EAST, NORTH, NORTHEAST, WEST, EAST], [[], []], versions, positives or [[1, -1], [2, -1]])


def as_twins() -> TrainBatch:
    """Of two versions of each query one becomes its twin."""
    return batch_of([EAST, NORTH, NORTHEAST, WEST, NORTHEAST, EAST], [[2], [4]], [[2, 3], [4, 5]], [[1], [2]])


def module(objective: Any = CONTRASTIVE, dropout: float = 0.0, **settings: Any) -> BiEncoderModule:
    made = BiEncoderModule(BiEncoder(OneToken(dropout)), objective, score_scale=2.0, **settings).train()
    made.log = made.log_dict = lambda *_, **__: None  # type: ignore[method-assign,assignment]  # there is no trainer
    return made


def losses(batch: TrainBatch, of: BiEncoderModule) -> Tensor:
    passages = of.bi_encoder.encode_passages(batch.passages)
    return version_losses(of.bi_encoder, passages, batch, of._similarity, of.gather, 0)


def gradients(of: BiEncoderModule, batch: TrainBatch) -> dict[str, Tensor]:
    loss = of.training_step(batch, 0)
    loss.backward()
    found = {name: weight.grad for name, weight in of.named_parameters() if weight.grad is not None}
    return {"loss": loss.detach(), **found}


def test_losses_of_versions_are_those_of_the_formula_and_known_positives_are_no_negatives() -> None:
    """The version northeast scores 2 x .6 for its passage east and 2 x .8 for north; west scores -2 and 0."""
    found = losses(in_place(), module())
    expected = [math.log(1 + math.exp(1.6 - 1.2)), math.log(1 + math.exp(2)), math.log(1 + math.exp(-2))]
    torch.testing.assert_close(found, torch.tensor([expected, [-math.inf] * 3]))
    assert losses(in_place([[1, 2], [2, -1]]), module())[0].tolist() == [0.0] * 3, "north answers the first query too"


def test_the_hardest_version_takes_the_place_of_its_query_and_a_query_without_versions_stays() -> None:
    batch = in_place()
    chosen = with_hardest(batch, losses(batch, module()))
    assert chosen.queries.ids_T.tolist() == [WEST, NORTH]
    assert chosen.version_places_QV.shape == (2, 0)
    nothing = batch._replace(version_places_QV=torch.full((2, 3), -1))
    assert with_hardest(nothing, losses(nothing, module())).queries.ids_T.tolist() == [EAST, NORTH]


def test_the_hardest_versions_become_the_twins() -> None:
    batch = as_twins()
    chosen = with_hardest(batch, losses(batch, module()))
    assert chosen.queries.ids_T.tolist() == [EAST, NORTH, WEST, EAST]
    assert chosen.twin_places_QK.tolist() == [[2], [3]]
    fewer = batch._replace(version_places_QV=torch.tensor([[-1, -1], [4, 5]]))
    chosen = with_hardest(fewer, losses(fewer, module()))
    assert chosen.queries.ids_T.tolist() == [EAST, NORTH, EAST]
    assert chosen.twin_places_QK.tolist() == [[-1], [2]]


def test_the_log_has_the_share_of_queries_with_versions_and_the_losses_of_the_hardest_and_of_all() -> None:
    logged = summary(torch.tensor([[1.0, 3.0], [-torch.inf, -torch.inf], [2.0, 2.0], [-torch.inf, -torch.inf]]))
    assert {name: value.item() for name, value in logged.items()} == {
        "versions/share": 0.5,
        "versions/hardest_loss": 2.5,
        "versions/mean_loss": 2.0,
    }
    assert [*summary(torch.full((2, 3), -torch.inf))] == ["versions/share"]


@pytest.mark.parametrize(
    ("batch", "objective", "alone"),
    [
        (in_place(), CONTRASTIVE, batch_of([WEST, NORTH], [[], []], [[], []], [[1], [2]])),
        (as_twins(), TAUGHT, batch_of([EAST, NORTH, WEST, EAST], [[2], [3]], [[], []], [[1], [2]])),
    ],
    ids=["in the place of a query", "as a twin"],
)
@pytest.mark.parametrize("chunk_size", [0, 1])
def test_loss_and_gradients_are_those_of_a_batch_that_holds_the_chosen_versions_alone(
    batch: TrainBatch, objective: Any, alone: TrainBatch, chunk_size: int
) -> None:
    chosen, expected = gradients(module(objective, chunk_size=chunk_size), batch), gradients(module(objective), alone)
    assert chosen.keys() == expected.keys() == {"loss", "bi_encoder.encoder.table"}
    for name, value in expected.items():
        torch.testing.assert_close(chosen[name], value)
    assert chosen["bi_encoder.encoder.table"][NORTHEAST].tolist() == [0.0, 0.0], "it was compared, and is not trained"


def test_the_choice_is_made_without_dropout_and_training_goes_on_with_it() -> None:
    chooser = module(dropout=0.9)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    found = version_losses(chooser.bi_encoder, torch.eye(2), in_place(), chooser._similarity, chooser.gather, 0)
    torch.testing.assert_close(found, losses(in_place(), module()))
    assert torch.equal(torch.get_rng_state(), before), "nothing was drawn"
    assert chooser.bi_encoder.encoder.dropout.training  # type: ignore[union-attr]  # OneToken


def test_with_mixed_precision_and_two_towers_the_query_tower_is_trained() -> None:
    """Autocast keeps weights that it has cast. Those that it casts for the choice, without gradients, must not be kept."""
    towers = BiEncoder(nn.Sequential(OneToken(), nn.Linear(2, 2)), nn.Sequential(OneToken(), nn.Linear(2, 2)))
    trained = BiEncoderModule(towers, CONTRASTIVE)
    trained.log = trained.log_dict = lambda *_, **__: None  # type: ignore[method-assign,assignment]  # there is no trainer
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(trained, in_place())
    assert found["bi_encoder.encoder.1.weight"].abs().sum() > 0
