"""How the hidden states of a text's tokens become the vector of the text. A new pooling is one entry of `POOLINGS`.

Names joined by `+` give the vectors of several poolings in a row, as in `first+mean`.

B texts, T tokens of all of them in a row, D dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdr.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pooling:
    """`pool(hidden_TD, starts_B, lengths_B)` returns the vectors (B, D). `token(starts_B, lengths_B)` returns the row of the
    only token that `pool` reads, where there is one: packed encoders then compute their last layer for that token alone.
    `sentence_transformers` is the mode's name in sentence-transformers, `flag` its key in folders of version 5 and before."""

    sentence_transformers: str
    flag: str
    pool: "Callable[[Tensor, Tensor, Tensor], Tensor]"
    token: "Callable[[Tensor, Tensor], Tensor] | None" = None


def of_one_token(sentence_transformers: str, flag: str, token: "Callable[[Tensor, Tensor], Tensor]") -> Pooling:
    def pool(hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
        return hidden_TD[token(starts_B, lengths_B)]

    return Pooling(sentence_transformers, flag, pool, token)


def mean_of_tokens(hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
    return _sums(hidden_TD, lengths_B) / lengths_B.clamp(min=1)[:, None]


def sum_by_root_of_length(hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
    return _sums(hidden_TD, lengths_B) / lengths_B.clamp(min=1)[:, None].sqrt()


def mean_weighted_by_position(hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
    """The first token weighs 1, the second 2 ... (SGPT, arXiv 2202.08904)."""
    weights_T = starts_B.new_tensor(range(1, len(hidden_TD) + 1)) - starts_B.repeat_interleave(lengths_B)
    return _sums(hidden_TD * weights_T[:, None], lengths_B) / (lengths_B * (lengths_B + 1) / 2).clamp(min=1)[:, None]


def largest_of_tokens(hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
    least_BD = hidden_TD.new_full((len(lengths_B), hidden_TD.shape[1]), float("-inf"))
    rows_TD = _text_of_each_token(lengths_B)[:, None].expand_as(hidden_TD)
    return least_BD.scatter_reduce(0, rows_TD, hidden_TD, "amax")


def _sums(hidden_TD: "Tensor", lengths_B: "Tensor") -> "Tensor":
    """Sums in at least float32: bfloat16 would round after every token."""
    hidden_TD = hidden_TD.float()
    sums_BD = hidden_TD.new_zeros(len(lengths_B), hidden_TD.shape[1])
    return sums_BD.index_add(0, _text_of_each_token(lengths_B), hidden_TD)


def _text_of_each_token(lengths_B: "Tensor") -> "Tensor":
    return lengths_B.new_tensor(range(len(lengths_B))).repeat_interleave(lengths_B)


POOLINGS = {
    "first": of_one_token("cls", "pooling_mode_cls_token", lambda starts_B, lengths_B: starts_B),
    "last": of_one_token("lasttoken", "pooling_mode_lasttoken", lambda starts_B, lengths_B: starts_B + lengths_B - 1),
    "mean": Pooling("mean", "pooling_mode_mean_tokens", mean_of_tokens),
    "max": Pooling("max", "pooling_mode_max_tokens", largest_of_tokens),
    "weighted_mean": Pooling("weightedmean", "pooling_mode_weightedmean_tokens", mean_weighted_by_position),
    "sqrt_mean": Pooling("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", sum_by_root_of_length),
}


def poolings_of(names: str) -> list[Pooling]:
    return [POOLINGS[name] for name in names.split("+")]


def pool(names: str, hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
    """The vectors (B, D), or (B, n D) of n poolings."""
    vectors = [pooling.pool(hidden_TD, starts_B, lengths_B) for pooling in poolings_of(names)]
    if len(vectors) == 1:
        return vectors[0]
    from torch import cat

    return cat(vectors, dim=-1)


def token_of(names: str) -> "Callable[[Tensor, Tensor], Tensor] | None":
    """The row of the only token that the vector is made of, where there is one."""
    return poolings_of(names)[0].token if "+" not in names else None


def require_pooling(names: str) -> str:
    for name in names.split("+"):
        if name not in POOLINGS:
            raise UserError(f"pooling must be one of {', '.join(POOLINGS)}, or several joined by +, got {name!r}")
    return names
