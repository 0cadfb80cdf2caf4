"""BERT and XLM-R as text encoders on a CPU, for vectors alone: packed, without dropout, linear layers through oneDNN.

torch's own product reaches about half of what oneDNN does with weights in its order. The operators are private to torch
(inductor's freezing stands on them), so nothing is believed: each is compared with `F.linear`, and the whole encoder with the
plain one, before it is used.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xdr.encoders.packing import FIRST_POSITION, TextRun, packed_inputs
from xdr.encoders.pooling import POOLINGS
from xdr.encoders.texts import Texts, by_length, select, texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder

TOLERANCE = 1e-4
"""Length of the difference from the plain encoder's vector, as a share of that vector's length."""


def prepared_for_inference(encoder: nn.Module) -> nn.Module:
    """The same vectors, faster where xdr knows how, and never with gradients there: a packed BERT or XLM-R in fp32 on a CPU.
    Every other encoder is put into eval mode and returned.

    A prepared encoder is a snapshot: of the given one it shares the word embeddings, holds the linear layers a second time (in
    oneDNN's order), and does not notice when it is trained on. It computes in fp32 under autocast as well. The given one
    stays as it was."""
    if not _can_be_prepared(encoder):
        return encoder.eval()
    assert isinstance(encoder, TransformerEncoder)
    problem = why_prepacking_fails()
    if not problem:
        fast = FastEncoder(encoder)
        problem = _difference(fast, encoder)
        if not problem:
            return fast
    warnings.warn(f"encoding goes on without oneDNN's prepacked weights, which is slower: {problem}", stacklevel=2)
    return encoder.eval()


class PrepackedLinear:
    """`W x + b` with the weight in oneDNN's order. The result may take GELU, or another summand, on the way out."""

    def __init__(self, *layers: nn.Linear) -> None:
        """Several layers of one input become one product, their outputs side by side."""
        ops = torch.ops.mkldnn
        weight_OI = torch.cat([layer.weight.detach() for layer in layers])
        self._weight = ops._reorder_linear_weight(weight_OI)
        self._bias_O = torch.cat([layer.bias.detach() for layer in layers])
        self._pointwise = ops._linear_pointwise

    def __call__(self, x_TI: Tensor) -> Tensor:
        y_TO: Tensor = self._pointwise(x_TI, self._weight, self._bias_O, "none", [], "")
        return y_TO

    def gelu(self, x_TI: Tensor) -> Tensor:
        y_TO: Tensor = self._pointwise(x_TI, self._weight, self._bias_O, "gelu", [], "none")
        return y_TO

    def plus(self, x_TI: Tensor, other_TO: Tensor) -> Tensor:
        y_TO: Tensor = self._pointwise.binary(x_TI, other_TO, self._weight, self._bias_O, "add")
        return y_TO


@cache
def why_prepacking_fails() -> str:
    """Empty where the three operators exist and give what `F.linear` gives."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(64, 96)
    x_TI, other_TO = (torch.randn(40, width, generator=generator) for width in (64, 96))
    with torch.no_grad():
        expected_TO = F.linear(x_TI, layer.weight, layer.bias)
        try:
            prepacked = PrepackedLinear(layer)
            pairs = (
                (prepacked(x_TI), expected_TO),
                (prepacked.gelu(x_TI), F.gelu(expected_TO)),
                (prepacked.plus(x_TI, other_TO), expected_TO + other_TO),
            )
        except Exception as error:  # a private operator may go, or change, in any way
            return (
                f"torch {torch.__version__} does not offer them here ({(str(error) or type(error).__name__).splitlines()[0]})"
            )
    if all(torch.allclose(value, expected, atol=1e-5, rtol=1e-5) for value, expected in pairs):
        return ""
    return f"torch {torch.__version__} computes other values with them"


class Norm(NamedTuple):
    weight_D: Tensor
    bias_D: Tensor
    epsilon: float

    def __call__(self, x_TD: Tensor) -> Tensor:
        return F.layer_norm(x_TD, x_TD.shape[-1:], self.weight_D, self.bias_D, self.epsilon)


class Layer(NamedTuple):
    """Of a transformer. In the last one before the pooling of first tokens, `query` is apart and `projected` are keys and
    values; in all others `projected` are queries, keys and values."""

    query: PrepackedLinear | None
    projected: PrepackedLinear
    attended: PrepackedLinear
    attended_norm: Norm
    widened: PrepackedLinear
    narrowed: PrepackedLinear
    narrowed_norm: Norm

    def after_attention(self, context_TD: Tensor, hidden_TD: Tensor) -> Tensor:
        hidden_TD = self.attended_norm(self.attended.plus(context_TD, hidden_TD))
        return self.narrowed_norm(self.narrowed.plus(self.widened.gelu(hidden_TD), hidden_TD))


class FastEncoder(nn.Module):
    """Has no parameters of its own: nothing in it can be trained, saved or moved."""

    def __init__(self, encoder: TransformerEncoder) -> None:
        super().__init__()
        backbone, self.pooling, self.normalize = encoder.backbone, encoder.pooling, encoder.normalize
        self._pooling = POOLINGS[self.pooling]
        self.dimension = encoder.dimension
        self._model_type: str = backbone.config.model_type
        self._num_heads: int = backbone.config.num_attention_heads
        embeddings = backbone.embeddings
        self._words_VD = embeddings.word_embeddings.weight.detach()
        self._positions_PD = (
            embeddings.position_embeddings.weight.detach() + embeddings.token_type_embeddings.weight.detach()[0]
        )
        self._norm = _norm(embeddings.LayerNorm)
        layers = list(backbone.encoder.layer)
        self._layers = [_layer(layer, self._pooling.token is not None and layer is layers[-1]) for layer in layers]

    @torch.no_grad()
    def forward(self, texts: Texts) -> Tensor:
        order_B = by_length(texts)
        with torch.autocast("cpu", enabled=False):
            vectors_BD = self._ordered(select(texts, order_B))[order_B.argsort()]
        return F.normalize(vectors_BD, dim=-1) if self.normalize else vectors_BD

    def _ordered(self, texts: Texts) -> Tensor:
        """Of texts in order of length."""
        inputs = packed_inputs(texts, self._model_type)
        runs: list[TextRun] = inputs["runs"]
        hidden_TD = F.embedding(inputs["input_ids"][0], self._words_VD)
        hidden_TD = self._norm(hidden_TD.add_(F.embedding(inputs["position_ids"][0], self._positions_PD)))
        attend = partial(attend_in_runs, runs=runs, num_heads=self._num_heads)
        for layer in self._layers:
            projected = layer.projected(hidden_TD)
            if layer.query is None:
                hidden_TD = layer.after_attention(attend(*projected.chunk(3, -1)), hidden_TD)
            else:
                assert self._pooling.token is not None
                pooled_BD = hidden_TD[self._pooling.token(texts.starts_B, texts.lengths_B)]
                return layer.after_attention(attend(layer.query(pooled_BD), *projected.chunk(2, -1)), pooled_BD)
        return self._pooling.pool(hidden_TD, texts.starts_B, texts.lengths_B)


def attend_in_runs(query_QD: Tensor, key_TD: Tensor, value_TD: Tensor, runs: list[TextRun], num_heads: int) -> Tensor:
    """Each text attends to itself. There are as many queries as tokens, or one a text."""
    context_QD = torch.empty(query_QD.shape)
    done = 0
    for start, num_texts, length in runs:
        end = start + num_texts * length
        queries = slice(start, end) if len(query_QD) == len(key_TD) else slice(done, done + num_texts)
        done += num_texts
        q, k, v = (
            x.view(num_texts, -1, num_heads, x.shape[1] // num_heads).transpose(1, 2)
            for x in (query_QD[queries], key_TD[start:end], value_TD[start:end])
        )
        context_QD[queries] = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).flatten(0, 1)
    return context_QD


def _norm(norm: nn.LayerNorm) -> Norm:
    return Norm(norm.weight.detach(), norm.bias.detach(), norm.eps)


def _layer(layer: Any, of_first_tokens: bool) -> Layer:
    own, attended, narrowed = layer.attention.self, layer.attention.output, layer.output
    projected = (own.key, own.value) if of_first_tokens else (own.query, own.key, own.value)
    return Layer(
        PrepackedLinear(own.query) if of_first_tokens else None,
        PrepackedLinear(*projected),
        PrepackedLinear(attended.dense),
        _norm(attended.LayerNorm),
        PrepackedLinear(layer.intermediate.dense),
        PrepackedLinear(narrowed.dense),
        _norm(narrowed.LayerNorm),
    )


def _can_be_prepared(encoder: nn.Module) -> bool:
    """LoRA's layers have a `weight` and are no plain `nn.Linear`: what they add to it would be lost."""
    if not isinstance(encoder, TransformerEncoder) or encoder.batching != "packed":
        return False
    config = encoder.backbone.config
    if config.model_type not in FIRST_POSITION or config.is_decoder or config.hidden_act != "gelu":
        return False
    weighted = [part for part in encoder.backbone.modules() if hasattr(part, "weight")]
    plain = all(type(part) in (nn.Linear, nn.Embedding, nn.LayerNorm) for part in weighted)
    return plain and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in encoder.parameters())


def _difference(fast: nn.Module, encoder: TransformerEncoder) -> str:
    """Empty where both give the same vectors of a few texts."""
    config = encoder.backbone.config
    longest = min(48, config.max_position_embeddings - FIRST_POSITION[config.model_type])
    generator = torch.Generator().manual_seed(0)
    texts = texts_of(
        [
            torch.randint(config.vocab_size, (min(length, longest),), generator=generator).tolist()
            for length in (7, 3, 48, 7, 21, 1)
        ]
    )
    with _evaluating(encoder), torch.no_grad():
        expected_BD = encoder(texts)
        differences_B = (fast(texts) - expected_BD).norm(dim=1) / expected_BD.norm(dim=1)
    if bool((differences_B <= TOLERANCE).all()):
        return ""
    return f"vectors of this model differ by {float(differences_B.max()):.1e} of their length, and {TOLERANCE:.0e} is allowed"


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Afterwards each part is in training again that was."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
