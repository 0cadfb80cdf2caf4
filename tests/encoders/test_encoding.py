import torch

from xdr.encoders.encoding import encode_sums, encode_texts, length_sorted_batches
from xdr.encoders.texts import Texts, texts_of


def test_a_batch_holds_the_budget_or_one_text() -> None:
    assert length_sorted_batches([1, 1, 2, 3, 9], 4) == [slice(0, 3), slice(3, 4), slice(4, 5)]
    assert length_sorted_batches([2, 2], 4) == [slice(0, 2)]
    assert length_sorted_batches([7], 4) == [slice(0, 1)]
    assert length_sorted_batches([], 4) == []


class FirstTokenAndLength(torch.nn.Module):
    """A text's vector is its first token and its length: every expected value can be typed. Notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.dimension = 2
        self.lengths: list[list[int]] = []

    def forward(self, texts: Texts) -> torch.Tensor:
        self.lengths.append(texts.lengths_B.tolist())
        return torch.stack([texts.ids_T[texts.starts_B], texts.lengths_B], 1).float()


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    encoder = FirstTokenAndLength()
    vectors = encode_texts(encoder, texts_of([[5, 0, 0], [6], [7, 0], [8], [9, 0, 0]]), tokens_per_batch=4)
    assert vectors.tolist() == [[5, 3], [6, 1], [7, 2], [8, 1], [9, 3]]
    assert encoder.lengths == [[1, 1, 2], [3], [3]]


def test_vectors_are_summed_by_passage_and_group() -> None:
    texts = texts_of([[5, 0, 0], [6], [7, 0], [8], [9, 0, 0]])
    owner_N, group_N = torch.tensor([0, 2, 0, 2, 2]), torch.tensor([0, 1, 0, 1, 0])
    for tokens_per_batch in (1, 4, 100):
        sums = encode_sums(FirstTokenAndLength(), texts, owner_N, group_N, 3, 2, tokens_per_batch)
        assert sums.tolist() == [[[12, 5], [0, 0], [9, 3]], [[0, 0], [0, 0], [14, 2]]]


def test_a_sum_begins_with_its_shortest_text_whatever_the_batches() -> None:
    """In float32, (2**24 + 1) - 2**24 is 0 and 2**24 - 2**24 + 1 is 1."""
    texts = texts_of([[1, 0], [-(2**24), 0, 0], [2**24]])
    for tokens_per_batch in (1, 3, 100):
        sums = encode_sums(FirstTokenAndLength(), texts, torch.zeros(3), torch.zeros(3), 1, 1, tokens_per_batch)
        assert sums[0, 0, 0] == 0


def test_no_texts_are_no_vectors_and_empty_sums() -> None:
    none = texts_of([])
    assert encode_texts(FirstTokenAndLength(), none, 4).shape == (0, 2)
    sums = encode_sums(FirstTokenAndLength(), none, none.lengths_B, none.lengths_B, 2, 1, 4)
    assert sums.tolist() == [[[0, 0], [0, 0]]]
