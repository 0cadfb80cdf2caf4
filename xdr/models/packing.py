"""Attention without padding: all tokens of a batch in one row, each text attending to itself alone.

On the CPU, texts stand in order of length and each run of one length is one dense call. On CUDA the flash kernel inside torch
takes them all (fp16 or bf16, no dropout). Results equal the padded model's to rounding.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from xdr.models.texts import Texts

NAME = "xdr_packed"
FIRST_POSITION = {"bert": 0, "xlm-roberta": 2, "roberta": 2}
"""The backbones that pack, and the position of a text's first token: RoBERTa's begin behind the padding's."""


class Run(NamedTuple):
    """`num_texts` texts of one `length` whose tokens begin at `start`."""

    start: int
    num_texts: int
    length: int


def runs_of_equal_length(lengths: list[int]) -> list[Run]:
    """Of texts in order of length."""
    runs: list[Run] = []
    start = 0
    for length in lengths:
        if runs and runs[-1].length == length:
            runs[-1] = runs[-1]._replace(num_texts=runs[-1].num_texts + 1)
        else:
            runs.append(Run(start, 1, length))
        start += length
    return runs


def packed_inputs(texts: Texts, model_type: str) -> dict[str, Any]:
    """What a backbone with this attention takes for texts in order of length."""
    positions_T = torch.arange(len(texts.ids_T), device=texts.ids_T.device)
    positions_T -= texts.starts_B.repeat_interleave(texts.lengths_B)
    ends_B = F.pad(texts.lengths_B.cumsum(0), (1, 0)).to(torch.int32)
    return {
        "input_ids": texts.ids_T[None],
        "position_ids": positions_T[None] + FIRST_POSITION[model_type],
        "runs": runs_of_equal_length(texts.lengths_B.tolist()),
        "text_ends": ends_B,
    }


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    dropout: float = 0.0,
    runs: list[Run] | None = None,
    text_ends: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    assert runs is not None and text_ends is not None
    if query.is_cuda:
        return _attend_on_cuda(query, key, value, scaling, text_ends, runs[-1].length), None
    heads, width = query.shape[1], query.shape[3]
    parts = []
    for start, count, length in runs:
        q, k, v = (
            x[0, :, start : start + count * length].view(heads, count, length, width).transpose(0, 1)
            for x in (query, key, value)
        )
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)  # (count, heads, length, width)
        parts.append(out.transpose(1, 2).reshape(count * length, heads, width))
    return torch.cat(parts)[None], None


def _attend_on_cuda(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, text_ends: Tensor, longest: int
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))
    out = varlen_attn(q, k, v, text_ends, text_ends, longest, longest, scale=scaling)
    assert isinstance(out, Tensor)
    return out.unsqueeze(0)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
