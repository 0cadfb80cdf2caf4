"""What can be drawn, against Hugging Face's own rules."""

from typing import Any

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from xdr.generators.settings import Sampling
from xdr.writing.huggingface_backend import candidates, draw


@pytest.mark.parametrize("top_k", [0, 1, 10, 500])
@pytest.mark.parametrize("top_p", [1.0, 0.7, 0.05])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_probabilities_are_hugging_faces(top_k: int, top_p: float, temperature: float) -> None:
    logits_NV = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) * 3
    rules: list[Any] = [TemperatureLogitsWarper(temperature)]
    rules += [TopKLogitsWarper(top_k)] if top_k else []
    rules += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    theirs_NV = logits_NV
    for rule in rules:
        theirs_NV = rule(None, theirs_NV)
    tokens_NK, probabilities_NK = candidates(logits_NV, Sampling(top_k, top_p, temperature, 1))
    ours_NV = torch.zeros_like(logits_NV).scatter_(1, tokens_NK, probabilities_NK)
    torch.testing.assert_close(ours_NV, theirs_NV.softmax(1))


def test_the_most_probable_of_one_is_drawn() -> None:
    assert draw(torch.tensor([[0.1, 3.0, 2.0], [5.0, 1.0, 2.0]]), Sampling(1, 1.0, 1.0, 1)).tolist() == [1, 0]
