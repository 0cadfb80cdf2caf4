"""Encodes many texts, sorted by length, in batches of a limited number of tokens.

Batches and the order of every sum depend on the texts alone.

N texts, B texts of a batch, S sums, D dimensions.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from xdr.encoders.texts import Texts, by_length, select

CPU_TOKENS = 4096
"""The most tokens of a batch on a CPU, where batches of 16,384 take 7 to 12 per cent longer (docs/log.md)."""


def encode_texts(encoder: nn.Module, texts: Texts, tokens_per_batch: int) -> Tensor:
    """Returns the vectors (N, D), in float32 on the CPU, in the order of the texts."""
    vectors_ND = torch.empty(len(texts.lengths_B), _dimension(encoder), dtype=torch.float32)
    for rows_B, vectors_BD in _batches_of_vectors(encoder, texts, tokens_per_batch):
        vectors_ND[rows_B] = vectors_BD
    return vectors_ND


def encode_sums(
    encoder: nn.Module,
    texts: Texts,
    owner_N: Tensor,
    group_N: Tensor,
    num_passages: int,
    num_groups: int,
    tokens_per_batch: int,
) -> Tensor:
    """Returns, for each group and passage, the sum of the vectors of its texts: (groups, passages, D), in float32 on the CPU,
    zero without texts. Memory holds the sums and the vectors of one batch.

    Texts are added from the shortest to the longest; equally long ones in their order. The sums are on the CPU because only
    there does index_add add in the order of the rows."""
    assert len(owner_N) == len(group_N) == len(texts.lengths_B)
    slot_N = group_N.long() * num_passages + owner_N.long()
    sums_SD = torch.zeros(num_groups * num_passages, _dimension(encoder), dtype=torch.float32)
    for rows_B, vectors_BD in _batches_of_vectors(encoder, texts, tokens_per_batch):
        sums_SD.index_add_(0, slot_N[rows_B], vectors_BD)
    return sums_SD.view(num_groups, num_passages, -1)


def length_sorted_batches(lengths_N: list[int], tokens_per_batch: int) -> list[slice]:
    """Slices of texts sorted by length: as many texts as fit into `tokens_per_batch`, and at least one."""
    batches, first, tokens = [], 0, 0
    for i, length in enumerate(lengths_N):
        if tokens + length > tokens_per_batch and i > first:
            batches.append(slice(first, i))
            first, tokens = i, 0
        tokens += length
    return [*batches, slice(first, len(lengths_N))] if lengths_N else []


@torch.no_grad()
def _batches_of_vectors(encoder: nn.Module, texts: Texts, tokens_per_batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the rows of a batch's texts and their vectors."""
    device = next(encoder.parameters(), texts.ids_T).device
    order_N = by_length(texts)
    ordered = select(texts, order_N)
    ends_N = ordered.lengths_B.cumsum(0)
    if device.type == "cpu":
        tokens_per_batch = min(tokens_per_batch, CPU_TOKENS)
    done = 0
    for batch in length_sorted_batches(ordered.lengths_B.tolist(), tokens_per_batch):
        end = int(ends_N[batch.stop - 1])
        part = Texts(ordered.ids_T[done:end].to(device), ordered.lengths_B[batch].to(device))
        done = end
        yield order_N[batch], encoder(part).float().cpu()


def _dimension(encoder: nn.Module) -> int:
    dimension = encoder.dimension
    assert isinstance(dimension, int)
    return dimension
