"""Attention without padding: all tokens of a batch are in one row, and each text attends to itself alone: every token to all,
or to those before it in a causal backbone, and within the window of a layer that has one.

Texts are sorted by length, and each run of texts of one length is one dense call. On CUDA, torch's flash kernel takes all texts
at once, in fp16 or bf16 and without dropout, which it does not know. Results equal those of the padded model to rounding.

B texts, T tokens of all, H heads, W dimensions of a head, D dimensions.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from xdr.encoders.texts import Texts

NAME = "xdr_packed"
BERT_LIKE = {"bert": 0, "roberta": 2, "xlm-roberta": 2}
DECODERS = {"gemma": 0, "gemma3_text": 0, "llama": 0, "mistral": 0, "qwen2": 0, "qwen3": 0}
FIRST_POSITION = BERT_LIKE | DECODERS
"""The backbones that can be packed, and the position of a text's first token: RoBERTa's first two are for padding. Whether the
attention of decoders is causal, its sliding window, and grouped keys and values are as the configuration says. Gemma 2 is not
among them: the logits of its attention are capped."""


class TextRun(NamedTuple):
    """`num_texts` consecutive texts of `length` tokens."""

    num_texts: int
    length: int


def runs_of_equal_length(lengths: list[int]) -> list[TextRun]:
    """The runs of texts that are sorted by length."""
    return [TextRun(len(list(same)), length) for length, same in groupby(lengths)]


def is_causal(config: Any) -> bool:
    """Whether a token of this backbone attends to earlier tokens alone."""
    return config.model_type in DECODERS and not getattr(config, "use_bidirectional_attention", False)


def packed_inputs(texts: Texts, model_type: str) -> dict[str, Any]:
    """The arguments of a backbone with this attention, for texts that are sorted by length."""
    positions_T = torch.arange(len(texts.ids_T), device=texts.ids_T.device)
    positions_T -= texts.starts_B.repeat_interleave(texts.lengths_B)
    ends_B = F.pad(texts.lengths_B.cumsum(0), (1, 0)).to(torch.int32)
    return {
        "input_ids": texts.ids_T[None],
        "position_ids": positions_T[None] + FIRST_POSITION[model_type],
        "runs": runs_of_equal_length(texts.lengths_B.tolist()),
        "text_ends": ends_B,
    }


def states_of_one_token(backbone: Any, texts: Texts, rows_B: Tensor) -> Tensor:
    """The last hidden state of the token in row `rows_B` of each text. In the last layer, keys and values come from all tokens;
    queries, output, feed-forward and norms are computed for these tokens alone."""
    inputs = packed_inputs(texts, backbone.config.model_type)
    runs, text_ends = inputs["runs"], inputs["text_ends"]
    hidden_1TD = backbone.embeddings(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"])
    for layer in backbone.encoder.layer[:-1]:
        hidden_1TD = layer(hidden_1TD, None, runs=runs, text_ends=text_ends)
    last = backbone.encoder.layer[-1]
    own = last.attention.self
    pooled_1BD = hidden_1TD[:, rows_B]
    query, key, value = (
        linear(hidden).unflatten(-1, (-1, own.attention_head_size)).transpose(1, 2)
        for linear, hidden in ((own.query, pooled_1BD), (own.key, hidden_1TD), (own.value, hidden_1TD))
    )
    dropout = own.dropout.p if own.training else 0.0
    context_1BHW = _attend_one_query(query, key, value, own.scaling, dropout, runs, text_ends)
    attended_1BD = last.attention.output(context_1BHW.flatten(2), pooled_1BD)
    hidden_1BD: Tensor = last.feed_forward_chunk(attended_1BD)
    return hidden_1BD[0]


def _attend_one_query(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, dropout: float, runs: list[TextRun], text_ends: Tensor
) -> Tensor:
    """Like `_attend`, with one query a text."""
    if _takes_all_at_once(query, dropout):
        query_ends = torch.arange(len(text_ends), dtype=torch.int32, device=query.device)
        return _attend_on_cuda(query, key, value, scaling, text_ends, runs[-1].length, query_ends=query_ends, most_queries=1)
    parts = []
    for q, (k, v) in zip(torch.split(query[0], [run.num_texts for run in runs], 1), _by_run(runs, key, value), strict=True):
        q = q.transpose(0, 1)[:, :, None]  # (num_texts, heads, 1, width)
        parts.append(F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)[:, :, 0])
    return torch.cat(parts)[None]


def _by_run(runs: list[TextRun], *states: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The parts (num_texts, heads, length, width) of each run. Slices would be right too, but the gradient of a slice is as
    large as the whole, and there are many."""
    sizes = [num_texts * length for num_texts, length in runs]
    for run, *parts in zip(runs, *(torch.split(x[0], sizes, 1) for x in states), strict=True):
        yield tuple(part.unflatten(1, run).transpose(0, 1) for part in parts)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    runs: list[TextRun] | None = None,
    text_ends: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    assert runs is not None and text_ends is not None
    causal = bool(getattr(module, "is_causal", False))
    if _takes_all_at_once(query, dropout):
        behind = sliding_window - 1 if sliding_window else -1
        window = (behind, 0 if causal else behind)
        return _attend_on_cuda(query, key, value, scaling, text_ends, runs[-1].length, window), None
    grouped, dtype = query.shape[1] != key.shape[1], query.dtype
    if dtype == torch.bfloat16 and query.requires_grad and not query.is_cuda:
        # On CPUs torch's backward pass of attention takes ten times as long in bf16 as in fp32.
        query, key, value = query.float(), key.float(), value.float()
    parts = []
    for (count, length), (q, k, v) in zip(runs, _by_run(runs, query, key, value), strict=True):
        mask_LL = _window(length, sliding_window, causal, q.device) if sliding_window and length > sliding_window else None
        with torch.autocast(q.device.type, enabled=False):
            out = F.scaled_dot_product_attention(  # (count, heads, length, width)
                q, k, v, mask_LL, dropout, causal and mask_LL is None, scale=scaling, enable_gqa=grouped
            )
        parts.append(out.transpose(1, 2).reshape(count * length, *out.shape[1::2]))
    return torch.cat(parts)[None].to(dtype), None


def _takes_all_at_once(query: Tensor, dropout: float) -> bool:
    return query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and not dropout


def _window(length: int, sliding_window: int, causal: bool, device: torch.device) -> Tensor:
    """True where the token of a row attends to that of a column."""
    positions_L = torch.arange(length, device=device)
    distance_LL = positions_L[:, None] - positions_L
    near_LL = distance_LL.abs() < sliding_window
    return near_LL & (distance_LL >= 0) if causal else near_LL


def _attend_on_cuda(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    text_ends: Tensor,
    longest: int,
    window: tuple[int, int] = (-1, -1),
    query_ends: Tensor | None = None,
    most_queries: int | None = None,
) -> Tensor:
    """`window` is how many tokens behind and ahead a token attends to, -1 for all. `query_ends` and `most_queries` are given if
    texts have fewer queries than tokens."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))
    ends = text_ends if query_ends is None else query_ends
    grouped, most = q.shape[1] != k.shape[1], most_queries or longest
    out = varlen_attn(q, k, v, ends, text_ends, most, longest, scale=scaling, window_size=window, enable_gqa=grouped)
    assert isinstance(out, Tensor)
    return out.unsqueeze(0)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
