"""How the next piece of a text is drawn."""

from dataclasses import dataclass

import torch
from torch import Tensor

from xdr.errors import UserError

VOCABULARIES = ("full", "language")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a piece is drawn: among the `top_k` most probable (0: all), of those the fewest that hold `top_p` together, from
    probabilities sharpened by a `temperature` below one. `vocabulary` is `full`, or `language`: only pieces that a text in the
    wanted language may hold, with those in Latin letters if `latin`."""

    top_k: int
    top_p: float
    temperature: float
    output_length: int
    vocabulary: str = "full"
    latin: bool = True

    def __post_init__(self) -> None:
        if self.top_k < 0 or not 0 < self.top_p <= 1 or self.temperature <= 0 or self.output_length < 1:
            raise UserError(
                "top_k is 0 or more, top_p in (0, 1], temperature above 0 and output_length at least 1; there came "
                f"{self.top_k}, {self.top_p}, {self.temperature} and {self.output_length}"
            )
        if self.vocabulary not in VOCABULARIES:
            raise UserError(f"vocabulary is one of {', '.join(VOCABULARIES)}, and '{self.vocabulary}' came")


def candidates(logits_NV: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The K pieces of each row that can be drawn, the most probable first, and their probabilities. Hugging Face masks all
    others and then goes through the whole vocabulary for each draw, 250,000 pieces of mT5's; here only K are looked at."""
    num_kept = min(sampling.top_k or logits_NV.shape[1], logits_NV.shape[1])
    logits_NK, pieces_NK = (logits_NV.float() / sampling.temperature).topk(num_kept)
    probabilities_NK = logits_NK.softmax(1)
    if sampling.top_p < 1:
        before_NK = probabilities_NK.cumsum(1) - probabilities_NK
        probabilities_NK = probabilities_NK.masked_fill(before_NK >= sampling.top_p, 0)
        probabilities_NK = probabilities_NK / probabilities_NK.sum(1, keepdim=True)
    return pieces_NK, probabilities_NK


def draw(logits_NV: Tensor, sampling: Sampling) -> Tensor:
    """One piece a row."""
    pieces_NK, probabilities_NK = candidates(logits_NV, sampling)
    return pieces_NK.gather(1, torch.multinomial(probabilities_NK, 1))[:, 0]
