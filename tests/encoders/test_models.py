import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.input_format import InputFormat
from xdr.encoders.models import SmallBiEncoder, StaticBiEncoder, TransformerBiEncoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.errors import UserError

TRANSFORMER: dict[str, Any] = {
    "pooling": None,
    "normalize": None,
    "tied": True,
    "batching": "packed",
    "dtype": "float32",
    "dropout": None,
    "truncate_dim": None,
    "end_token": None,
    "lora_rank": 0,
    "lora_alpha": None,
    "lora_dropout": 0.0,
    "lora_targets": None,
    "gradient_checkpointing": False,
    "compile_backbone": False,
    "query_length": None,
    "passage_length": None,
    "query_prefix": None,
    "passage_prefix": None,
}
SMALL: dict[str, Any] = {
    "family": "bert",
    "hidden": 32,
    "layers": 1,
    "dropout": 0.0,
    "pooling": "mean",
    "normalize": True,
    "query_length": 16,
    "passage_length": 32,
    "query_prefix": "",
    "passage_prefix": "",
}


def transformer(path: Path, **settings: Any) -> TransformerBiEncoder:
    return TransformerBiEncoder(str(path), **(TRANSFORMER | settings))


@pytest.fixture
def folder(small_models: dict[str, Path], tmp_path: Path) -> Path:
    """In sentence-transformers' layout: mean, normalized, with lengths and prefixes."""
    backbone = small_models["bert"]
    encoder = TransformerEncoder(load_backbone(str(backbone), torch.float32, "packed"), "mean", True, "packed")
    own = InputFormat(24, 48, "query: ", "passage: ")
    tokenizer = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(backbone)), own)
    save_encoder(encoder, tokenizer, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_settings_are_checked_without_torch() -> None:
    code = "import sys, xdr.encoders.models; sys.exit(bool({'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"pooling": "first+median"}, "pooling must be one of first, last, mean, .* or several joined by .*, got 'median'"),
        ({"truncate_dim": 0}, "truncate_dim must be at least 1, got 0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, got -0.1"),
        ({"lora_dropout": 1.0}, "lora_dropout must be at least 0 and below 1, got 1.0"),
        ({"lora_alpha": 8.0}, "lora_alpha must be left out where lora_rank is 0, got 8.0"),
        ({"batching": "pakced"}, "batching must be one of packed, grouped, padded, got 'pakced'"),
        ({"dtype": "float16"}, "dtype must be one of float32, bfloat16, got 'float16'"),
        ({"lora_rank": -1}, "lora_rank must be at least 0, got -1"),
        ({"query_length": 0}, "query_length must be at least 1, got 0"),
        ({"compile_backbone": True}, "batching must be padded or grouped with compile_backbone=true, got packed"),
    ],
)
def test_wrong_settings_of_a_transformer_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        transformer(Path("any"), **settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"family": "gpt"}, "family must be one of bert, xlm-roberta, got 'gpt'"),
        ({"hidden": 100}, "hidden must be a multiple of 32, got 100"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_wrong_settings_of_a_small_model_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        SmallBiEncoder(**(SMALL | settings))


def test_a_small_model_is_built_once(tmp_path: Path) -> None:
    settings = SmallBiEncoder(**SMALL)
    first, tokenizer = settings.build(tmp_path, seed=1)
    again, _ = settings.build(tmp_path, seed=2)
    assert tokenizer.input_format == InputFormat(16, 32)
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_folder_s_own_settings_count_where_none_is_given(folder: Path) -> None:
    bi_encoder, tokenizer = transformer(folder, passage_length=40).build(folder, 0)
    assert (bi_encoder.encoder.pooling, bi_encoder.encoder.normalize) == ("mean", True)
    assert tokenizer.input_format == InputFormat(24, 40, "query: ", "passage: ")
    assert bi_encoder.passage_encoder is None
    with pytest.raises(UserError, match="pooling must be mean, as .* says, got first"):
        transformer(folder, pooling="first").build(folder, 0)


def test_low_rank_updates_and_checkpointing_work_on_a_folder(folder: Path) -> None:
    bi_encoder, tokenizer = transformer(folder, lora_rank=2, gradient_checkpointing=True, tied=False).build(folder, 0)
    bi_encoder.train()
    queries, passages = bi_encoder(tokenizer.queries(TEXTS), tokenizer.queries(TEXTS))
    torch.testing.assert_close(queries, passages)
    (queries * passages.roll(1, 0)).sum().backward()
    trained = [name for name, parameter in bi_encoder.named_parameters() if parameter.grad is not None]
    assert trained and all("lora_" in name for name in trained)
    for tower in (bi_encoder.encoder, bi_encoder.passage_encoder):
        assert tower is not None and tower.backbone.is_gradient_checkpointing


def test_a_folder_can_be_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **settings: compiled.append(settings))
    transformer(folder, compile_backbone=True, batching="padded").build(folder, 0)
    assert compiled == [{"dynamic": True}]


def test_a_plain_backbone_needs_a_pooling(small_models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="pooling must be given for a plain backbone"):
        transformer(small_models["bert"]).build(Path(), 0)


def test_static_vectors_are_no_transformer(static_folder: Path, tmp_path: Path) -> None:
    settings = StaticBiEncoder(str(static_folder), True, 8, 16, None, None)
    bi_encoder, tokenizer = settings.build(tmp_path, 0)
    assert tokenizer.input_format == InputFormat(8, 16)
    save_encoder(bi_encoder.encoder, tokenizer, tmp_path / "saved")
    with pytest.raises(UserError, match="path must be a transformer, got static vectors in .*saved"):
        transformer(tmp_path / "saved").build(tmp_path, 0)
    again, tokenizer = StaticBiEncoder(str(tmp_path / "saved"), None, None, 32, None, None).build(tmp_path, 0)
    assert tokenizer.input_format == InputFormat(8, 32)
    assert again.encoder.normalize is True
