"""What decides a vector is in the fingerprint, so that vectors on disk are never used with another encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from tests.changed_files import changed, fields_without_effect_on_fingerprints
from tests.encoders.conftest import TEXTS
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.fingerprints import fingerprint_encoder
from xdr.encoders.input_format import EncoderOptions, InputFormat
from xdr.encoders.open_encoder import open_encoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.encoders.vector_layers import Dense
from xdr.text.records import Passage


@pytest.fixture
def folder(small_models: dict[str, Path], tmp_path: Path) -> Path:
    return _saved(small_models["bert"], tmp_path / "encoder")


def _saved(backbone: Path, folder: Path) -> Path:
    """In sentence-transformers' layout, with a prefix, and so short that texts are cut."""
    torch.manual_seed(1)
    layers = [Dense(64, 16, True, torch.nn.Tanh())]
    encoder = TransformerEncoder(load_backbone(str(backbone), torch.float32, "packed"), "mean", True, "packed", layers)
    tokenizer = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(backbone)), InputFormat(8, 12, "q: ", ""))
    save_encoder(encoder, tokenizer, folder)
    return folder


def _print(folder: Path, **options: Any) -> str:
    return fingerprint_encoder(*open_encoder(str(folder), EncoderOptions(**options)))


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("config.json", "hidden_act", "relu"),
        ("config.json", "layer_norm_eps", 1e-3),
        ("config.json", "num_attention_heads", 4),
        ("config_sentence_transformers.json", "prompts", {"query": "other: "}),
        ("config_sentence_transformers.json", "prompts", {"query": "q: ", "document": "d: "}),
        ("config_sentence_transformers.json", "truncate_dim", 8),
        ("tokenizer_config.json", "truncation_side", "left"),
        ("tokenizer_config.json", "do_lower_case", True),
        ("2_Dense/config.json", "activation_function", "torch.nn.modules.activation.ReLU"),
        ("xdr.json", "query_length", 10),
    ],
)
def test_a_changed_file_changes_the_fingerprint(folder: Path, file: str, field: str, value: Any) -> None:
    before = _print(folder)
    assert _print(folder) == before
    with changed(folder / file, (field,), value):
        assert _print(folder) != before
    assert _print(folder) == before


def test_names_and_versions_are_not_in_the_fingerprint(folder: Path) -> None:
    before = _print(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["Other"], "transformers_version": "4.0"}))
    assert _print(folder) == before


def test_what_a_user_asks_changes_the_fingerprint(folder: Path) -> None:
    asked: list[dict[str, Any]] = [{}, {"truncate_dim": 8}, {"query_prefix": "a"}, {"passage_length": 9}]
    assert len({_print(folder, **options) for options in asked}) == len(asked)


def test_another_dtype_has_another_fingerprint(folder: Path) -> None:
    assert fingerprint_encoder(*open_encoder(str(folder), dtype=torch.bfloat16)) != _print(folder)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_no_field_of_a_file_changes_vectors_alone(small_models: dict[str, Path], tmp_path: Path, family: str) -> None:
    folder = _saved(small_models[family], tmp_path / "encoder")

    def vectors() -> tuple[np.ndarray, str]:
        encoder, _, tokenizer = open_encoder(str(folder))
        with torch.no_grad():
            of_queries = encoder.eval()(tokenizer.queries(TEXTS))
            of_passages = encoder(tokenizer.passages([Passage(str(i), "", text) for i, text in enumerate(TEXTS)]))
        return torch.cat([of_queries, of_passages]).numpy(), fingerprint_encoder(encoder, None, tokenizer)

    stale, told = fields_without_effect_on_fingerprints(folder, vectors)
    assert not stale
    assert told >= 12, "activation, norms, heads, layers, prefixes, lengths, case ..."
