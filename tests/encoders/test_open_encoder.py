"""What is options of an encoder, and what its checkpoint says of itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from tests.encoders.test_encoder_folder import PASSAGES
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.open_encoder import EncoderOptions, open_encoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, InputFormat, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.errors import UserError


@pytest.fixture
def folder(small_models: dict[str, Path], tmp_path: Path) -> Path:
    """In sentence-transformers' layout, with a mean, and without prefixes, as the folders of E5 are."""
    backbone = small_models["bert"]
    encoder = TransformerEncoder(load_backbone(str(backbone), torch.float32, "packed"), "mean", True, "packed")
    reader = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(backbone)), InputFormat(24, 48))
    save_encoder(encoder, reader, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_a_checkpoint_says_itself_what_is_not_asked(folder: Path, small_models: dict[str, Path]) -> None:
    queries, _, reader = open_encoder(str(folder))
    assert (queries.pooling, queries.normalize, reader.input_format) == ("mean", True, InputFormat(24, 48))
    queries, _, reader = open_encoder(str(small_models["bert"]), EncoderOptions(pooling="first"))
    assert (queries.pooling, queries.normalize, reader.input_format) == ("first", False, InputFormat(32, 128))


def test_prefixes_and_lengths_can_be_asked_of_any_encoder(folder: Path) -> None:
    options = EncoderOptions(query_length=40, passage_length=40, query_prefix="query: ", passage_prefix="passage: ")
    queries, _, reader = open_encoder(str(folder), options)
    judge = SentenceTransformer(str(folder), device="cpu")
    judge.max_seq_length = 40
    with torch.no_grad():
        ours = queries.eval()(reader.queries(TEXTS)), queries(reader.passages(PASSAGES))
    np.testing.assert_allclose(judge.encode(TEXTS, prompt="query: "), ours[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(judge.encode(TEXTS, prompt="passage: "), ours[1].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (EncoderOptions(pooling="first"), "pooling must be mean, as .* says, got first"),
        (EncoderOptions(normalize=False), "normalize must be True, as .* says, got False"),
    ],
)
def test_another_vector_than_the_checkpoint_makes_is_refused(folder: Path, options: EncoderOptions, said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_encoder(str(folder), options)
    assert open_encoder(str(folder), EncoderOptions(pooling="mean", normalize=True))


@pytest.mark.parametrize(("family", "behind_padding"), [("bert", 0), ("xlm-roberta", 2)])
def test_more_than_the_positions_is_refused_and_all_of_them_are_read(
    small_models: dict[str, Path], family: str, behind_padding: int
) -> None:
    positions = json.loads((small_models[family] / "config.json").read_text())["max_position_embeddings"] - behind_padding
    with pytest.raises(
        UserError, match=rf"passage_length must be at most {positions}, the positions of the model, got {positions + 1}"
    ):
        open_encoder(str(small_models[family]), EncoderOptions(pooling="mean", passage_length=positions + 1))
    queries, _, reader = open_encoder(str(small_models[family]), EncoderOptions(pooling="mean", query_length=positions))
    with torch.no_grad():
        assert queries.eval()(reader.queries([" ".join(TEXTS * 200)])).isfinite().all()


def test_static_vectors_are_a_checkpoint(static_folder: Path) -> None:
    queries, passages, reader = open_encoder(str(static_folder), EncoderOptions(normalize=True))
    assert passages is None
    with torch.no_grad():
        norms = queries(reader.queries(TEXTS)).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(len(TEXTS)))
