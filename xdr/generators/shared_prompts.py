"""A T5 decoder that writes several texts about each prompt, and reads the prompt's keys and values once for all of them.

`generate` repeats them for each text: with five questions in each of seven languages a step would move the same numbers 35
times, which is what a step then spends most of its time on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, DynamicCache, EncoderDecoderCache
from transformers.masking_utils import AttentionMaskInterface

NAME = "xdr_shared_prompts"


class Prompts(NamedTuple):
    """Of N texts about P prompts: each text is the `slot`-th of its prompt, of which none has more than `most`."""

    prompt_N: Tensor
    slot_N: Tensor
    most: int
    mask_P11S: Tensor

    @classmethod
    def of(cls, prompt_N: Tensor, mask_PS: Tensor) -> "Prompts":
        order_N = prompt_N.argsort(stable=True)
        counts_P = prompt_N.bincount(minlength=len(mask_PS))
        slot_N = torch.empty_like(prompt_N)
        slot_N[order_N] = (
            torch.arange(len(prompt_N), device=prompt_N.device) - (counts_P.cumsum(0) - counts_P)[prompt_N[order_N]]
        )
        return cls(prompt_N, slot_N, int(counts_P.max()), mask_PS[:, None, None].bool())


def prompts_cache(model: Any, hidden_PSD: Tensor) -> EncoderDecoderCache:
    """Each layer's keys and values of the prompts; none of texts yet."""
    read = DynamicCache()
    for number, block in enumerate(model.decoder.block):
        attention = block.layer[1].EncDecAttention
        keys, values = (
            layer(hidden_PSD).unflatten(2, (-1, attention.key_value_proj_dim)).transpose(1, 2).contiguous()
            for layer in (attention.k, attention.v)
        )
        read.update(keys, values, number)
    return EncoderDecoderCache(DynamicCache(), read)


@contextmanager
def reading_shared_prompts(model: Any) -> Iterator[None]:
    """Within, the decoder takes one piece of each text at a time, and `prompts=` beside the cache."""
    config = model.decoder.config
    usual = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = usual


def _attend(
    module: torch.nn.Module,
    query_NH1W: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    prompts: Prompts | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    assert prompts is not None and query_NH1W.shape[2] == 1
    if module.is_causal:
        context_NH1W = F.scaled_dot_product_attention(query_NH1W, key, value, attn_mask=position_bias, scale=scaling)
        return context_NH1W.transpose(1, 2), None
    heads, width = query_NH1W.shape[1], query_NH1W.shape[3]
    places = (prompts.prompt_N, slice(None), prompts.slot_N)
    query_PHMW = query_NH1W.new_zeros(len(key), heads, prompts.most, width)
    query_PHMW[places] = query_NH1W[:, :, 0]
    context_PHMW = F.scaled_dot_product_attention(query_PHMW, key, value, attn_mask=prompts.mask_P11S, scale=scaling)
    return context_PHMW[places][:, None], None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
