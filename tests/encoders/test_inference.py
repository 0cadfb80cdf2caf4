import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from xdr.encoders.encoding import encode_sums, encode_texts
from xdr.encoders.inference import has_bfloat16_instructions, prepared_for_inference
from xdr.encoders.input_format import LoraOptions
from xdr.encoders.prepacked import PrepackedEncoder
from xdr.encoders.small import build_small_bert
from xdr.encoders.static_encoder import StaticEncoder
from xdr.encoders.texts import Texts, texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, adapt, load_backbone


def encoder_of(
    folder: Path, pooling: str = "first", normalize: bool = False, batching: Any = "packed", dtype: torch.dtype = torch.float32
) -> TransformerEncoder:
    return TransformerEncoder(load_backbone(str(folder), dtype, batching), pooling, normalize, batching)


def tokens(folder: Path) -> Texts:
    return texts_of(AutoTokenizer.from_pretrained(folder)(TEXTS).input_ids)


@pytest.fixture
def prepacking(small_models: dict[str, Path]) -> None:
    with warnings.catch_warnings(record=True):
        if not isinstance(prepared_for_inference(encoder_of(small_models["bert"])), PrepackedEncoder):
            pytest.skip("no prepacked weights on this machine")


@pytest.mark.usefixtures("prepacking")
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("batching", ["packed", "grouped"])
def test_a_prepared_encoder_gives_the_vectors_of_the_padded_one(
    small_models: dict[str, Path], family: str, pooling: str, batching: str
) -> None:
    folder = small_models[family]
    prepared = prepared_for_inference(encoder_of(folder, pooling, True, batching))
    assert isinstance(prepared, PrepackedEncoder)
    expected = encoder_of(folder, pooling, True, "padded").eval()(tokens(folder))
    torch.testing.assert_close(prepared(tokens(folder)), expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("prepacking")
def test_preparing_leaves_the_encoder_in_training_and_shares_its_words(tmp_path: Path) -> None:
    folder = build_small_bert(TEXTS, tmp_path / "with_dropout", seed=1, hidden=64, layers=2, dropout=0.5)
    encoder = encoder_of(folder).train()
    encoder.backbone.embeddings.eval()  # a part that is kept from dropout stays so
    prepared = prepared_for_inference(encoder)
    assert isinstance(prepared, PrepackedEncoder)
    own, shared = (e.backbone.embeddings.word_embeddings.weight for e in (encoder, prepared.encoder))
    assert own.data_ptr() == shared.data_ptr()
    assert encoder.training and encoder.backbone.encoder.training
    assert not encoder.backbone.embeddings.training
    vectors = prepared(tokens(folder))
    assert not vectors.requires_grad
    encoder(tokens(folder)).sum().backward()
    assert encoder.backbone.encoder.layer[0].attention.self.query.weight.grad is not None
    torch.testing.assert_close(vectors, encoder.eval()(tokens(folder)).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("prepacking")
def test_autocast_does_not_change_a_prepared_encoder(small_models: dict[str, Path]) -> None:
    prepared = prepared_for_inference(encoder_of(small_models["bert"]))
    expected = prepared(tokens(small_models["bert"]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(prepared(tokens(small_models["bert"])), expected)


@pytest.mark.usefixtures("prepacking")
def test_low_rank_updates_are_part_of_a_prepared_encoder(small_models: dict[str, Path]) -> None:
    folder = small_models["bert"]
    backbone = adapt(
        load_backbone(str(folder), torch.float32, "packed"), gradient_checkpointing=False, lora=LoraOptions(2, 2 * 2)
    )
    for name, parameter in backbone.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    encoder = TransformerEncoder(backbone, "first", False, "packed").eval()
    prepared = prepared_for_inference(encoder)
    assert isinstance(prepared, PrepackedEncoder)
    vectors = prepared(tokens(folder))
    torch.testing.assert_close(vectors, encoder(tokens(folder)).detach(), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(vectors, encoder_of(folder).eval()(tokens(folder)), atol=1e-2)


def test_encoders_without_float32_linear_layers_come_back_in_eval_mode(small_models: dict[str, Path]) -> None:
    bfloat16 = encoder_of(small_models["bert"], dtype=torch.bfloat16)
    for encoder in (StaticEncoder(torch.eye(3), False), bfloat16):
        assert prepared_for_inference(encoder.train()) is encoder
        assert not encoder.training


def test_a_cpu_without_bfloat16_instructions_is_warned_of(
    small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(small_models["bert"], dtype=torch.bfloat16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    assert not has_bfloat16_instructions()
    with pytest.warns(UserWarning, match="no bfloat16 instructions: .* Encode in float32"):
        prepared_for_inference(encoder)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "cpu_name": "bf16"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared_for_inference(encoder)


def test_without_the_operators_a_warning_is_given_and_the_plain_encoder(
    small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    encoder = encoder_of(small_models["bert"])
    with pytest.warns(UserWarning, match="torch .* cannot prepack weights here: .*_reorder_linear_weight"):
        assert prepared_for_inference(encoder) is encoder


@pytest.mark.usefixtures("prepacking")
def test_operators_with_other_values_are_detected(small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.ops.mkldnn

    def wrong(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        y = real._linear_pointwise(x, *rest)
        return y + torch.linspace(0, 0.01, y.shape[-1])

    operators = SimpleNamespace(_reorder_linear_weight=real._reorder_linear_weight, _linear_pointwise=wrong)
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    encoder = encoder_of(small_models["bert"], pooling="mean")
    with pytest.warns(UserWarning, match="vectors of this model differ by .* 1e-04"):
        assert prepared_for_inference(encoder) is encoder


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 1000])
def test_batches_of_any_size_give_the_plain_encoders_vectors(small_models: dict[str, Path], tokens_per_batch: int) -> None:
    folder = small_models["xlm-roberta"]
    encoder, texts = encoder_of(folder).eval(), tokens(folder)
    expected = encoder(texts).detach()
    fast = prepared_for_inference(encoder)
    torch.testing.assert_close(encode_texts(fast, texts, tokens_per_batch), expected, atol=1e-5, rtol=1e-5)
    owner_N = torch.arange(len(TEXTS)) % 2
    sums = encode_sums(fast, texts, owner_N, torch.zeros(len(TEXTS)), 2, 1, tokens_per_batch)
    torch.testing.assert_close(sums[0], torch.stack([expected[::2].sum(0), expected[1::2].sum(0)]), atol=1e-5, rtol=1e-5)
    again = encode_sums(fast, texts, owner_N, torch.zeros(len(TEXTS)), 2, 1, tokens_per_batch)
    assert torch.equal(sums, again)
