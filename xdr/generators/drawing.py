"""How the next piece of a text is drawn."""

import torch
from torch import Tensor

from xdr.generators.settings import Sampling


def candidates(logits_NV: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The K pieces of each row that can be drawn, the most probable first, and their probabilities. Hugging Face masks all
    others and then goes through the whole vocabulary for each draw, 250,000 pieces of mT5's; here only K are looked at."""
    num_kept = min(sampling.top_k or logits_NV.shape[1], logits_NV.shape[1])
    logits_NK, tokens_NK = (logits_NV.float() / sampling.temperature).topk(num_kept)
    probabilities_NK = logits_NK.softmax(1)
    if sampling.top_p < 1:
        before_NK = probabilities_NK.cumsum(1) - probabilities_NK
        probabilities_NK = probabilities_NK.masked_fill(before_NK >= sampling.top_p, 0)
        probabilities_NK = probabilities_NK / probabilities_NK.sum(1, keepdim=True)
    return tokens_NK, probabilities_NK


def draw(logits_NV: Tensor, sampling: Sampling) -> Tensor:
    """One piece a row."""
    tokens_NK, probabilities_NK = candidates(logits_NV, sampling)
    return tokens_NK.gather(1, torch.multinomial(probabilities_NK, 1))[:, 0]
