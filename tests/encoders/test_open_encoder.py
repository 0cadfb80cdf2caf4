"""What a user asks of an encoder, and what its files say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

from tests.encoders.conftest import TEXTS
from tests.encoders.test_encoder_folder import PASSAGES
from xdr.encoders.encoder_folder import load_encoder_folder, save_encoder
from xdr.encoders.input_format import EncoderOptions, InputFormat
from xdr.encoders.open_encoder import open_encoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.errors import UserError


@pytest.fixture
def folder(small_models: dict[str, Path], tmp_path: Path) -> Path:
    """In sentence-transformers' layout, with a mean, and without prefixes, as the folders of E5 are."""
    backbone = small_models["bert"]
    encoder = TransformerEncoder(load_backbone(str(backbone), torch.float32, "packed"), "mean", True, "packed")
    tokenizer = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(backbone)), InputFormat(24, 48))
    save_encoder(encoder, tokenizer, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_what_is_not_asked_is_as_the_files_say(folder: Path, small_models: dict[str, Path]) -> None:
    queries, _, tokenizer = open_encoder(str(folder))
    assert (queries.pooling, queries.normalize, tokenizer.input_format) == ("mean", True, InputFormat(24, 48))
    queries, _, tokenizer = open_encoder(str(small_models["bert"]), EncoderOptions(pooling="first"))
    assert (queries.pooling, queries.normalize, tokenizer.input_format) == ("first", False, InputFormat(32, 128))


def test_prefixes_and_lengths_can_be_chosen_for_any_encoder(folder: Path) -> None:
    options = EncoderOptions(query_length=40, passage_length=40, query_prefix="query: ", passage_prefix="passage: ")
    queries, _, tokenizer = open_encoder(str(folder), options)
    judge = SentenceTransformer(str(folder), device="cpu")
    judge.max_seq_length = 40
    with torch.no_grad():
        ours = queries.eval()(tokenizer.queries(TEXTS)), queries(tokenizer.passages(PASSAGES))
    np.testing.assert_allclose(judge.encode(TEXTS, prompt="query: "), ours[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(judge.encode(TEXTS, prompt="passage: "), ours[1].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (EncoderOptions(pooling="first"), "pooling must be mean, as .* says, got first"),
        (EncoderOptions(normalize=False), "normalize must be True, as .* says, got False"),
    ],
)
def test_another_pooling_or_normalization_than_the_files_say_is_refused(
    folder: Path, options: EncoderOptions, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        open_encoder(str(folder), options)
    assert open_encoder(str(folder), EncoderOptions(pooling="mean", normalize=True))


@pytest.mark.parametrize(("family", "behind_padding"), [("bert", 0), ("xlm-roberta", 2)])
def test_texts_can_have_as_many_tokens_as_there_are_positions_and_no_more(
    small_models: dict[str, Path], family: str, behind_padding: int
) -> None:
    positions = json.loads((small_models[family] / "config.json").read_text())["max_position_embeddings"] - behind_padding
    with pytest.raises(
        UserError, match=rf"passage_length must be at most {positions}, the positions of the model, got {positions + 1}"
    ):
        open_encoder(str(small_models[family]), EncoderOptions(pooling="mean", passage_length=positions + 1))
    queries, _, tokenizer = open_encoder(str(small_models[family]), EncoderOptions(pooling="mean", query_length=positions))
    with torch.no_grad():
        assert queries.eval()(tokenizer.queries([" ".join(TEXTS * 200)])).isfinite().all()


def test_static_vectors_are_a_checkpoint(static_folder: Path) -> None:
    queries, passages, tokenizer = open_encoder(str(static_folder), EncoderOptions(normalize=True))
    assert passages is None
    with torch.no_grad():
        norms = queries(tokenizer.queries(TEXTS)).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(len(TEXTS)))


def test_one_tower_is_loaded_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr(
        "xdr.encoders.open_encoder.load_encoder_folder",
        lambda folder, **settings: loaded.append(folder) or load_encoder_folder(folder, **settings),
    )
    (tmp_path / "output").mkdir()
    folder.rename(tmp_path / "output" / "encoder")
    assert open_encoder(str(tmp_path / "output"))[1] is None
    assert loaded == [tmp_path / "output" / "encoder"]


def test_a_plain_backbone_needs_a_pooling(small_models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="pooling must be given for a plain backbone.* Choose one of first, last, mean"):
        open_encoder(str(small_models["bert"]))


def test_a_backbone_that_cannot_be_packed_is_grouped(tmp_path: Path, small_models: dict[str, Path]) -> None:
    DistilBertModel(DistilBertConfig(vocab_size=200, dim=32, n_layers=1, n_heads=2, hidden_dim=64)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(small_models["bert"]).save_pretrained(tmp_path)
    queries, _, tokenizer = open_encoder(str(tmp_path), EncoderOptions(pooling="mean"))
    assert queries.batching == "grouped"
    assert queries.eval()(tokenizer.queries(TEXTS)).shape == (len(TEXTS), 32)
