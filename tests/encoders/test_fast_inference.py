import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from xdr.encoders.encoding import encode_companions, encode_texts, length_sorted_batches
from xdr.encoders.fast_inference import FastEncoder, PrepackedLinear, prepared_for_inference, why_prepacking_fails
from xdr.encoders.small import build_small_bert
from xdr.encoders.static_encoder import StaticEncoder
from xdr.encoders.texts import Texts, texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, adapt, load_backbone


@pytest.fixture
def prepacking() -> None:
    if problem := why_prepacking_fails():
        pytest.skip(f"no prepacked weights on this machine: {problem}")


@pytest.fixture
def asked_anew() -> Iterator[None]:
    why_prepacking_fails.cache_clear()
    yield
    why_prepacking_fails.cache_clear()


def encoder_of(folder: Path, pooling: Any = "first", normalize: bool = False, batching: Any = "packed") -> TransformerEncoder:
    return TransformerEncoder(load_backbone(str(folder), torch.float32, batching), pooling, normalize, batching)


def tokens(folder: Path) -> Texts:
    return texts_of(AutoTokenizer.from_pretrained(folder)(TEXTS).input_ids)


@pytest.mark.usefixtures("prepacking")
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_prepared_encoder_gives_the_vectors_of_the_padded_one(
    small_models: dict[str, Path], family: str, pooling: str, normalize: bool
) -> None:
    folder = small_models[family]
    fast = prepared_for_inference(encoder_of(folder, pooling, normalize))
    assert isinstance(fast, FastEncoder)
    expected = encoder_of(folder, pooling, normalize, "padded").eval()(tokens(folder))
    torch.testing.assert_close(fast(tokens(folder)), expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("prepacking")
def test_preparing_leaves_the_encoder_in_training_and_shares_its_words(tmp_path: Path) -> None:
    folder = build_small_bert(TEXTS, tmp_path / "with_dropout", seed=1, hidden=64, layers=2, dropout=0.5)
    encoder = encoder_of(folder).train()
    encoder.backbone.embeddings.eval()  # a part that is kept from dropout stays so
    fast = prepared_for_inference(encoder)
    assert isinstance(fast, FastEncoder)
    assert fast._words_VD.data_ptr() == encoder.backbone.embeddings.word_embeddings.weight.data_ptr()
    assert encoder.training and encoder.backbone.encoder.training
    assert not encoder.backbone.embeddings.training
    vectors = fast(tokens(folder))
    assert not vectors.requires_grad
    encoder(tokens(folder)).sum().backward()
    assert encoder.backbone.encoder.layer[0].attention.self.query.weight.grad is not None
    torch.testing.assert_close(vectors, encoder.eval()(tokens(folder)).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("prepacking")
def test_autocast_does_not_touch_a_prepared_encoder(small_models: dict[str, Path]) -> None:
    fast = prepared_for_inference(encoder_of(small_models["bert"]))
    expected = fast(tokens(small_models["bert"]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fast(tokens(small_models["bert"])), expected)


def test_what_cannot_be_prepared_comes_back_in_eval_mode(small_models: dict[str, Path]) -> None:
    folder = str(small_models["bert"])
    other_activation = encoder_of(small_models["bert"])
    other_activation.backbone.config.hidden_act = "relu"
    lora = adapt(load_backbone(folder, torch.float32, "packed"), gradient_checkpointing=False, lora_rank=2)
    others = [
        StaticEncoder(torch.eye(3), False),
        encoder_of(small_models["bert"], batching="padded"),
        TransformerEncoder(load_backbone(folder, torch.bfloat16, "packed"), "first", False, "packed"),
        TransformerEncoder(lora, "first", False, "packed"),
        other_activation,
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for encoder in others:
            assert prepared_for_inference(encoder.train()) is encoder
            assert not encoder.training


@pytest.mark.usefixtures("asked_anew")
def test_a_torch_without_the_operators_is_told_and_encodes_as_before(
    small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    encoder = encoder_of(small_models["bert"])
    with pytest.warns(UserWarning, match="without oneDNN's prepacked weights, which is slower: torch .* does not offer them"):
        assert prepared_for_inference(encoder) is encoder


@pytest.mark.usefixtures("asked_anew", "prepacking")
@pytest.mark.parametrize(
    ("wrong_width", "sentence"), [(64, "computes other values with them"), (256, "vectors of this model differ by .* 1e-04")]
)
def test_operators_with_other_values_are_found_out(
    small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, wrong_width: int, sentence: str
) -> None:
    """Of 64 inputs in the operators' own test, of 256 in the models' feed-forward layers alone."""
    real = torch.ops.mkldnn

    class Wrong:
        def __call__(self, x: torch.Tensor, *rest: Any) -> torch.Tensor:
            return real._linear_pointwise(x, *rest) + 0.01 * (x.shape[1] == wrong_width)

        def binary(self, x: torch.Tensor, *rest: Any) -> torch.Tensor:
            wrong = torch.linspace(-1, 1, rest[0].shape[1]) * (x.shape[1] == wrong_width)
            return real._linear_pointwise.binary(x, *rest) + wrong

    operators = SimpleNamespace(_reorder_linear_weight=real._reorder_linear_weight, _linear_pointwise=Wrong())
    why_prepacking_fails.cache_clear()
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    encoder = encoder_of(small_models["bert"])
    with pytest.warns(UserWarning, match=sentence):
        assert prepared_for_inference(encoder) is encoder


@pytest.mark.usefixtures("prepacking")
def test_layers_of_one_input_become_one_product() -> None:
    first, second = torch.nn.Linear(2, 1), torch.nn.Linear(2, 2)
    for layer, weight, bias in ((first, [[1.0, 2.0]], [0.5]), (second, [[0.0, 1.0], [3.0, 0.0]], [0.0, -1.0])):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    both = PrepackedLinear(first, second)
    x_TI = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    assert both(x_TI).tolist() == [[3.5, 1.0, 2.0], [2.5, 0.0, 5.0]]
    assert both.plus(x_TI, torch.ones(2, 3)).tolist() == [[4.5, 2.0, 3.0], [3.5, 1.0, 6.0]]


def test_a_batch_holds_the_budget_or_one_text() -> None:
    assert length_sorted_batches([1, 1, 2, 3, 9], 4) == [slice(0, 3), slice(3, 4), slice(4, 5)]
    assert length_sorted_batches([2, 2], 4) == [slice(0, 2)]
    assert length_sorted_batches([7], 4) == [slice(0, 1)]
    assert length_sorted_batches([], 4) == []


class FirstTokenAndLength(torch.nn.Module):
    """A text's vector is its first token and its length: every expected value can be typed. Notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.dimension = 2
        self.lengths: list[list[int]] = []

    def forward(self, texts: Texts) -> torch.Tensor:
        self.lengths.append(texts.lengths_B.tolist())
        return torch.stack([texts.ids_T[texts.starts_B], texts.lengths_B], 1).float()


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    encoder = FirstTokenAndLength()
    vectors = encode_texts(encoder, texts_of([[5, 0, 0], [6], [7, 0], [8], [9, 0, 0]]), tokens_per_batch=4)
    assert vectors.tolist() == [[5, 3], [6, 1], [7, 2], [8, 1], [9, 3]]
    assert encoder.lengths == [[1, 1, 2], [3], [3]]


def test_companions_are_summed_by_passage_and_group() -> None:
    texts = texts_of([[5, 0, 0], [6], [7, 0], [8], [9, 0, 0]])
    owner_N, group_N = torch.tensor([0, 2, 0, 2, 2]), torch.tensor([0, 1, 0, 1, 0])
    for tokens_per_batch in (1, 4, 100):
        sums = encode_companions(FirstTokenAndLength(), texts, owner_N, group_N, 3, 2, tokens_per_batch)
        assert sums.tolist() == [[[12, 5], [0, 0], [9, 3]], [[0, 0], [0, 0], [14, 2]]]


def test_a_sum_begins_with_its_shortest_text_whatever_the_batches() -> None:
    """In float32, (2**24 + 1) - 2**24 is 0 and 2**24 - 2**24 + 1 is 1."""
    texts = texts_of([[1, 0], [-(2**24), 0, 0], [2**24]])
    for tokens_per_batch in (1, 3, 100):
        sums = encode_companions(FirstTokenAndLength(), texts, torch.zeros(3), torch.zeros(3), 1, 1, tokens_per_batch)
        assert sums[0, 0, 0] == 0


def test_no_texts_are_no_vectors_and_empty_sums() -> None:
    none = texts_of([])
    assert encode_texts(FirstTokenAndLength(), none, 4).shape == (0, 2)
    sums = encode_companions(FirstTokenAndLength(), none, none.lengths_B, none.lengths_B, 2, 1, 4)
    assert sums.tolist() == [[[0, 0], [0, 0]]]


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 1000])
def test_batches_of_any_size_give_the_plain_encoders_vectors(small_models: dict[str, Path], tokens_per_batch: int) -> None:
    folder = small_models["xlm-roberta"]
    encoder, texts = encoder_of(folder).eval(), tokens(folder)
    expected = encoder(texts).detach()
    fast = prepared_for_inference(encoder)
    torch.testing.assert_close(encode_texts(fast, texts, tokens_per_batch), expected, atol=1e-5, rtol=1e-5)
    owner_N = torch.arange(len(TEXTS)) % 2
    sums = encode_companions(fast, texts, owner_N, torch.zeros(len(TEXTS)), 2, 1, tokens_per_batch)
    torch.testing.assert_close(sums[0], torch.stack([expected[::2].sum(0), expected[1::2].sum(0)]), atol=1e-5, rtol=1e-5)
    again = encode_companions(fast, texts, owner_N, torch.zeros(len(TEXTS)), 2, 1, tokens_per_batch)
    assert torch.equal(sums, again)
