import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.objectives.labels import labels_of, refuse
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import texts_of
from xdr.errors import UserError
from xdr.objectives.batch_labels import BatchLabels, Twins
from xdr.objectives.train_batch import TrainBatch
from xdr.objectives.twin_losses import consistency, passage_consistency, twin_contrastive
from xdr.training.bi_encoder_module import BiEncoderModule

LN3 = math.log(3)


def scored(queries: Tensor, twins: Tensor, passages: Tensor, keys: list[int], positives: list[list[int]]) -> BatchLabels:
    """Labels of a batch in which every query has the same number of twins."""
    num_queries, num_twins = twins.shape[:2]
    nothing = texts_of([[0]])
    batch = TrainBatch(
        nothing,
        num_queries + torch.arange(num_queries * num_twins).view(num_queries, num_twins),
        torch.empty(num_queries, 0, dtype=torch.long),
        nothing,
        torch.arange(len(keys)),
        torch.tensor(keys),
        torch.tensor(positives),
        torch.full((len(keys),), torch.nan),
        torch.zeros(num_queries),
        torch.zeros(len(keys)),
        [],
    )
    module = BiEncoderModule(BiEncoder(nn.Linear(2, 2)))
    return module.score(torch.cat([queries, twins.flatten(0, 1)]), passages, batch)[1]


def labels_with(scores: list[list[list[float]]], present: list[list[bool]], from_passages: Callable[[], Tensor]) -> BatchLabels:
    twins_QKP, present_QK = torch.tensor(scores, requires_grad=True), torch.tensor(present)
    twins = Twins(twins_QKP, present_QK, present_QK, lambda: refuse()[0], from_passages)
    return labels_of(list(range(len(scores))), twins_QKP.shape[2], twins=twins)


def test_consistency_is_the_divergence_of_a_twin_from_its_query_and_absent_twins_do_not_count() -> None:
    """The first query gives 3/4 and 1/4, its one twin 1/2 and 1/2; the second query has no twin."""
    scores = torch.tensor([[LN3, 0.0], [5.0, 0.0]], requires_grad=True)
    labels = labels_with([[[0.0, 0.0], [9.0, 0.0]], [[7.0, 0.0], [8.0, 0.0]]], [[True, False], [False, False]], lambda: scores)
    assert labels.twins is not None
    loss = consistency(scores, labels, teacher="query", stop_gradient=True, teacher_temperature=1.0)
    assert loss.item() == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5), abs=1e-6)
    loss.backward()
    assert scores.grad is None, "it is not taught"
    expected = torch.zeros(2, 2, 2)
    expected[0, 0] = torch.tensor([0.5 - 0.75, 0.5 - 0.25])
    torch.testing.assert_close(labels.twins.scores_QKP.grad, expected)
    reverse = consistency(scores, labels, teacher="twin", stop_gradient=False, teacher_temperature=1.0)
    assert reverse.item() == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25), abs=1e-6)
    reverse.backward()
    assert scores.grad is not None and labels.twins.scores_QKP.grad is not None


def test_the_temperature_divides_the_teacher_alone() -> None:
    labels = labels_with([[[LN3, 0.0]]], [[True]], lambda: torch.empty(0))
    loss = consistency(torch.tensor([[2 * LN3, 0.0]]), labels, teacher="query", stop_gradient=True, teacher_temperature=2.0)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_passages_compare_queries_with_twins_and_leave_out_queries_without() -> None:
    """Two of three queries have a first twin, none a second one. A passage gives the two 3/4 and 1/4, their twins 1/2 and
    1/2."""
    from_passages = torch.tensor([[[LN3, 2.0, 4.0], [0.0, 2.0, 5.0], [8.0, 1.0, 6.0]]], requires_grad=True)
    labels = labels_with([[[0.0]] * 2] * 3, [[True, False], [True, False], [False, False]], lambda: from_passages)
    loss = passage_consistency(torch.zeros(3, 1), labels, teacher_temperature=1.0)
    assert loss.item() == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5), abs=1e-6)
    loss.backward()
    assert from_passages.grad is not None and from_passages.grad[..., 0].abs().max() == 0, "the queries teach"
    torch.testing.assert_close(from_passages.grad[0, :, 1], torch.tensor([-0.25, 0.25, 0.0]))


def test_dual_self_teaching_equals_torch_s_losses_on_the_same_vectors() -> None:
    """Two passages a query, of which the first answers it."""
    torch.manual_seed(0)
    queries, twins, passages = torch.randn(3, 4), torch.randn(3, 2, 4), torch.randn(6, 4)
    labels = scored(queries, twins, passages, [1, 2, 3, 4, 5, 6], [[1], [3], [5]])
    scores = queries @ passages.T

    def kl(teacher: Tensor, student: Tensor) -> Tensor:
        return F.kl_div(student.log_softmax(1), (teacher / 2).log_softmax(1), reduction="batchmean", log_target=True)

    forward = sum(kl(scores, twins[:, k] @ passages.T) for k in range(2)) / 2
    backward = sum(kl(scores.T, passages @ twins[:, k].T) for k in range(2)) / 2
    ours = consistency(scores, labels, teacher="query", stop_gradient=True, teacher_temperature=2.0)
    torch.testing.assert_close(ours, forward)
    torch.testing.assert_close(passage_consistency(scores, labels, teacher_temperature=2.0), backward)


@pytest.mark.parametrize("anchor", ["query", "passage"])
def test_twins_compete_with_those_of_queries_that_have_another_passage(anchor: str) -> None:
    """The third query has the passage of the first: neither is a negative of the other."""
    torch.manual_seed(0)
    queries, twins, passages = torch.randn(3, 4), torch.randn(3, 2, 4), torch.randn(3, 4)
    passages[2] = passages[0]
    labels = scored(queries, twins, passages, [1, 2, 1], [[1], [2], [1]])
    losses = []
    for i, negatives in enumerate(([1], [0, 2], [1])):
        finder = queries[i] if anchor == "query" else passages[i]
        wordings = [twins[j] if anchor == "query" else torch.cat([queries[j, None], twins[j]]) for j in range(3)]
        against = torch.cat([finder @ wordings[j].T for j in negatives]).exp().sum()
        positives = (finder @ wordings[i].T).exp()
        losses.append(-(positives / (positives + against)).log().mean())
    ours = twin_contrastive(torch.empty(0), labels, anchor=anchor)  # type: ignore[arg-type]  # one of the two
    torch.testing.assert_close(ours, torch.stack(losses).mean())


def test_one_twin_each_is_the_contrastive_loss_of_queries_and_twins() -> None:
    torch.manual_seed(0)
    queries, twins, passages = torch.randn(3, 4), torch.randn(3, 1, 4), torch.randn(3, 4)
    labels = scored(queries, twins, passages, [1, 2, 3], [[1], [2], [3]])
    expected = F.cross_entropy(queries @ twins[:, 0].T, torch.arange(3))
    torch.testing.assert_close(twin_contrastive(torch.empty(0), labels, anchor="query"), expected)


def test_an_objective_of_twins_refuses_a_batch_without() -> None:
    for objective in (
        lambda *batch: consistency(*batch, teacher="query", stop_gradient=True, teacher_temperature=1.0),
        lambda *batch: passage_consistency(*batch, teacher_temperature=1.0),
        lambda *batch: twin_contrastive(*batch, anchor="query"),
    ):
        with pytest.raises(UserError, match=r"data\.batches\.twins_per_query must be at least 1"):
            objective(torch.zeros(1, 2), labels_of([0], 2))
