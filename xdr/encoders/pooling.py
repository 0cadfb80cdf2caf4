"""From the vectors of a text's tokens to the vector of the text."""

from typing import Literal

from torch import Tensor

Pooling = Literal["first", "mean"]


def pool_padded(hidden_BLD: Tensor, mask_BL: Tensor, pooling: Pooling) -> Tensor:
    if pooling == "first":
        return hidden_BLD[:, 0]
    weights_BL = mask_BL.to(hidden_BLD.dtype)
    return (hidden_BLD * weights_BL[..., None]).sum(1) / weights_BL.sum(1, keepdim=True).clamp(min=1)


def pool_packed(hidden_TD: Tensor, starts_B: Tensor, lengths_B: Tensor, pooling: Pooling) -> Tensor:
    if pooling == "first":
        return hidden_TD[starts_B]
    rows_T = starts_B.new_tensor(range(len(lengths_B))).repeat_interleave(lengths_B)
    sums_BD = hidden_TD.new_zeros(len(lengths_B), hidden_TD.shape[1]).index_add(0, rows_T, hidden_TD)
    return sums_BD / lengths_B.clamp(min=1)[:, None].to(hidden_TD.dtype)
