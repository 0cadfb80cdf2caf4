"""How the hidden states of a text's tokens become the vector of the text. A new pooling is one entry of `POOLINGS`.

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
    `sentence_transformers` is the name in `pooling_mode_NAME` of a sentence-transformers folder."""

    sentence_transformers: str
    pool: "Callable[[Tensor, Tensor, Tensor], Tensor]"
    token: "Callable[[Tensor, Tensor], Tensor] | None" = None


def of_one_token(sentence_transformers: str, token: "Callable[[Tensor, Tensor], Tensor]") -> Pooling:
    return Pooling(sentence_transformers, lambda hidden_TD, starts_B, lengths_B: hidden_TD[token(starts_B, lengths_B)], token)


def mean_of_tokens(hidden_TD: "Tensor", starts_B: "Tensor", lengths_B: "Tensor") -> "Tensor":
    """Sums in at least float32: bfloat16 would round after every token."""
    hidden_TD = hidden_TD.float()
    rows_T = starts_B.new_tensor(range(len(lengths_B))).repeat_interleave(lengths_B)
    sums_BD = hidden_TD.new_zeros(len(lengths_B), hidden_TD.shape[1]).index_add(0, rows_T, hidden_TD)
    return sums_BD / lengths_B.clamp(min=1)[:, None]


POOLINGS = {
    "first": of_one_token("cls_token", lambda starts_B, lengths_B: starts_B),
    "last": of_one_token("lasttoken", lambda starts_B, lengths_B: starts_B + lengths_B - 1),
    "mean": Pooling("mean_tokens", mean_of_tokens),
}


def require_pooling(name: str) -> str:
    if name not in POOLINGS:
        raise UserError(f"pooling must be one of {', '.join(POOLINGS)}, got {name!r}")
    return name
