"""Texts to learn, packed behind the prompts that they share.

A sequence starts with the tokens that all prompts of a source share. The texts follow, each after the rest of its prompt. A
text attends to the shared tokens and to itself, and its positions continue from theirs. Its hidden states are therefore the
same as in a separate sequence.

Shape suffixes: S sequences, L tokens of the longest, B texts, N labels of all texts.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xdr.errors import UserError

_PADDING, _COMMON = -1, 0


class PackedTexts(NamedTuple):
    """`owners_SL` is 0 for the common tokens of a sequence, n for those of its n-th text, -1 for padding. The hidden state at
    place n of `places_N`, which counts through all sequences, predicts token n of `labels_N`. Labels are in the order of the
    texts; `counts_B` says how many are a text's."""

    ids_SL: Tensor
    positions_SL: Tensor
    owners_SL: Tensor
    places_N: Tensor
    labels_N: Tensor
    counts_B: Tensor


class _Sequence(NamedTuple):
    ids: list[int]
    positions: list[int]
    owners: list[int]


def pack(
    prompts: Sequence[list[int]], targets: Sequence[list[int]], groups: Sequence[Sequence[int]], pad_id: int
) -> PackedTexts:
    """One sequence for each group, which names the rows of its prompts and targets. Every row is in one group."""
    sequences: list[_Sequence] = []
    places: dict[int, tuple[int, int]] = {}  # of a text: its sequence, and where its last prompt token stands there
    for group in groups:
        num_common = _num_common([prompts[row] for row in group])
        common = prompts[group[0]][:num_common]
        sequence = _Sequence(list(common), list(range(num_common)), [_COMMON] * num_common)
        for number, row in enumerate(group, 1):
            own = [*prompts[row][num_common:], *targets[row][:-1]]
            places[row] = (len(sequences), len(sequence.ids) + len(prompts[row]) - num_common - 1)
            sequence.ids.extend(own)
            sequence.positions.extend(range(num_common, num_common + len(own)))
            sequence.owners.extend([number] * len(own))
        sequences.append(sequence)
    longest = max(len(sequence.ids) for sequence in sequences)
    starts = [places[row][0] * longest + places[row][1] for row in range(len(targets))]
    return PackedTexts(
        _padded([sequence.ids for sequence in sequences], longest, pad_id),
        _padded([sequence.positions for sequence in sequences], longest, 0),
        _padded([sequence.owners for sequence in sequences], longest, _PADDING),
        torch.tensor([start + i for start, target in zip(starts, targets, strict=True) for i in range(len(target))]),
        torch.tensor([token for target in targets for token in target]),
        torch.tensor([len(target) for target in targets]),
    )


def attention_masks(config: Any, texts: PackedTexts, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
    """What a causal model of transformers takes as `attention_mask`: one mask to add to the scores, or one for each type of its
    layers. A sliding window is that of the positions, as in a sequence with one text."""
    kinds = set(getattr(config, "layer_types", None) or ())
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise UserError(
            f"path must be a model whose layers have full or sliding attention, got {config.model_type} with "
            f"{', '.join(sorted(unknown))}"
        )
    window = getattr(config, "sliding_window", None)
    if "sliding_attention" in kinds:
        return {kind: _mask(texts, window if kind == "sliding_attention" else None, dtype) for kind in kinds}
    return _mask(texts, None if kinds else window, dtype)


def _mask(texts: PackedTexts, window: int | None, dtype: torch.dtype) -> Tensor:
    owners_SL, positions_SL = texts.owners_SL, texts.positions_SL
    seen_SLL = (owners_SL[:, None] == _COMMON) | (owners_SL[:, None] == owners_SL[:, :, None])
    distances_SLL = positions_SL[:, :, None] - positions_SL[:, None]
    seen_SLL &= distances_SLL >= 0
    if window is not None:
        seen_SLL &= distances_SLL < window
    return torch.zeros_like(seen_SLL, dtype=dtype).masked_fill(~seen_SLL, -torch.inf)[:, None]


def _num_common(prompts: Sequence[list[int]]) -> int:
    """Returns the number of first tokens that all prompts share. It is less than the shortest prompt: the last token of a
    prompt is not shared, because its hidden state predicts the text."""
    shared = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False)))
    return min(shared, min(map(len, prompts)) - 1)


def _padded(rows: Sequence[list[int]], length: int, value: int) -> Tensor:
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])
