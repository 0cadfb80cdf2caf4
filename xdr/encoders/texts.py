"""The tokens of several texts in one row, without padding.

B texts, T tokens of all of them, L tokens of the longest, N selected texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Texts(NamedTuple):
    """The token ids of all texts, and the number of tokens of each."""

    ids_T: Tensor
    lengths_B: Tensor

    @property
    def starts_B(self) -> Tensor:  # noqa: N802  a shape suffix
        return self.lengths_B.cumsum(0) - self.lengths_B


def texts_of(token_ids: Sequence[Sequence[int]]) -> Texts:
    flat = [token for ids in token_ids for token in ids]
    return Texts(torch.tensor(flat, dtype=torch.long), torch.tensor([len(ids) for ids in token_ids], dtype=torch.long))


def concatenate(parts: Sequence[Texts]) -> Texts:
    return Texts(torch.cat([part.ids_T for part in parts]), torch.cat([part.lengths_B for part in parts]))


def select(texts: Texts, rows_N: Tensor) -> Texts:
    """The texts at these rows, in that order."""
    lengths_N = texts.lengths_B[rows_N]
    shifts_N = texts.starts_B[rows_N] - (lengths_N.cumsum(0) - lengths_N)
    where_T = torch.arange(int(lengths_N.sum()), device=rows_N.device) + shifts_N.repeat_interleave(lengths_N)
    return Texts(texts.ids_T[where_T], lengths_N)


def by_length(texts: Texts) -> Tensor:
    """Returns the rows of the texts from the shortest to the longest; equally long ones keep their order."""
    return texts.lengths_B.argsort(stable=True)


def pad(texts: Texts, pad_id: int) -> tuple[Tensor, Tensor]:
    """Pads to the longest text. Returns ids_BL and mask_BL, which is true for tokens."""
    longest = int(texts.lengths_B.max())
    mask_BL = torch.arange(longest, device=texts.ids_T.device) < texts.lengths_B[:, None]
    ids_BL = texts.ids_T.new_full(mask_BL.shape, pad_id)
    ids_BL[mask_BL] = texts.ids_T
    return ids_BL, mask_BL
