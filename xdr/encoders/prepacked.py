"""Linear layers with weights in oneDNN's memory layout, for encoding in float32 on a CPU.

On AMD's CPUs encoding takes about half the time that it takes with torch's own linear layers; on Intel's there is little
difference (docs/log.md). The two operators are private to torch, which uses them in `torch._inductor`'s freezing. Nothing is
assumed about them: the vectors of each encoder are compared with those of the plain one before it is used.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xdr.encoders.texts import Texts, texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, num_positions

TOLERANCE = 1e-4
"""The largest difference from the plain encoder's vector, as a share of that vector's length."""


class PrepackedLinear(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight  # for modules that look at its type, such as those of LoRA
        self._prepacked = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        self._bias_O = None if layer.bias is None else layer.bias.detach()
        self._linear = torch.ops.mkldnn._linear_pointwise

    def forward(self, x_TI: Tensor) -> Tensor:
        y_TO: Tensor = self._linear(x_TI, self._prepacked, self._bias_O, "none", [], "")
        return y_TO


class PrepackedEncoder(nn.Module):
    """A copy of an encoder that shares all weights with it except those of linear layers, which exist twice. Computes without
    gradients, and in float32 under autocast as well."""

    def __init__(self, encoder: TransformerEncoder) -> None:
        super().__init__()
        shared: dict[int, Any] = {id(t): t for t in (*encoder.parameters(), *encoder.buffers())}
        self.encoder = copy.deepcopy(encoder, shared).eval()
        for module in list(self.encoder.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear:
                    setattr(module, name, PrepackedLinear(child))
        self.dimension, self.pooling, self.normalize = encoder.dimension, encoder.pooling, encoder.normalize

    @torch.no_grad()
    def forward(self, texts: Texts) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            vectors_BD: Tensor = self.encoder(texts)
        return vectors_BD


def why_vectors_differ(prepacked: PrepackedEncoder, encoder: TransformerEncoder) -> str:
    """Empty if both give the same vectors of a few random texts."""
    config = encoder.backbone.config
    longest = min(48, num_positions(config) or 48)
    generator = torch.Generator().manual_seed(0)
    texts = texts_of(
        [
            torch.randint(config.vocab_size, (min(length, longest),), generator=generator).tolist()
            for length in (7, 3, 48, 7, 21, 1)
        ]
    )
    with evaluating(encoder), torch.no_grad():
        expected_BD = encoder(texts)
        differences_B = (prepacked(texts) - expected_BD).norm(dim=1) / expected_BD.norm(dim=1)
    if bool((differences_B <= TOLERANCE).all()):
        return ""
    return (
        f"vectors of this model differ by {float(differences_B.max()):.1e} of their length, at most {TOLERANCE:.0e} is allowed"
    )


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """In eval mode; afterwards, each part is in the mode it was in."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
