import torch
import torch.nn.functional as F
from torch import Tensor

from xdr.late_interaction.token_alignment import aligned, alignment_losses


def test_the_nearest_pair_comes_first_even_where_another_matching_is_better() -> None:
    """Cosines of the student's two tokens: .8 and 1 with the teacher's. 1 goes first, though the other sum is larger."""
    student = torch.tensor([[[0.8, 0.6], [1.0, 0.0]]])
    teacher = torch.tensor([[[1.0, 0.0], [-0.6, 0.8]]])
    assert aligned(teacher, student).tolist() == [[list(teacher[0, 1].numpy()), list(teacher[0, 0].numpy())]]
    close_to_both = torch.tensor([[[1.0, 0.0], [0.96, 0.28]]])
    only_one = torch.tensor([[[0.96, 0.28], [0.0, 1.0]]])  # greedy: .96 -> exact match of token 2, then token 1 with 0
    torch.testing.assert_close(aligned(only_one, close_to_both), only_one[:, [1, 0]])


def by_swaps(teacher: Tensor, student: Tensor) -> Tensor:
    """The published description: as many times as there are tokens, find the smallest distance, swap the teacher's token into
    the student's place, and close that row and column."""
    distances = 1 - F.cosine_similarity(teacher[:, None], student[None], dim=-1)
    order = list(range(len(teacher)))
    for _ in range(len(teacher)):
        place = int(distances.argmin())
        i, j = divmod(place, len(student))
        order[i], order[j] = order[j], order[i]
        distances[[i, j]] = distances[[j, i]]
        distances[j], distances[:, j] = 10.0, 10.0
    return teacher[order]


def test_alignment_is_that_of_the_published_swaps() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(20, 8, 4), torch.randn(20, 8, 4)
    expected = torch.stack([by_swaps(t, s) for t, s in zip(teacher, student, strict=True)])
    torch.testing.assert_close(aligned(teacher, student), expected)


def test_losses_by_hand_and_padding_does_not_count() -> None:
    queries, of_queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    passages = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], requires_grad=True)
    of_passages = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    parts = alignment_losses((queries, passages), (of_queries, of_passages), query_weight=0.25)
    assert parts["queries"].item() == 0.0, "the same tokens in another order"
    assert parts["passages"].item() == 0.75, "(1 + 1) / 2, times one minus the weight"
    other = alignment_losses((queries, passages), (-of_queries, passages.detach()), query_weight=0.25)
    assert other["queries"].item() == 0.25, "each token faces the opposite of the other: (1 + 1) / 2"
