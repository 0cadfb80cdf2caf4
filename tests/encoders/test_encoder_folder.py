import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from xdr.encoders.encoder_folder import load_encoder_folder, save_encoder
from xdr.encoders.input_format import InputFormat, LoraOptions
from xdr.encoders.static_encoder import StaticEncoder, read_static_vectors
from xdr.encoders.tokenization import HuggingFaceTokenizer, StaticTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, adapt, load_backbone
from xdr.errors import UserError
from xdr.text.records import Passage

FORMAT = InputFormat(query_length=200, passage_length=300, query_prefix="Query: ", passage_prefix="Passage: ")
PASSAGES = [Passage(str(i), "", text) for i, text in enumerate(TEXTS)]


def same_vectors(folder: Path, encoder: torch.nn.Module, text_tokenizer: TextTokenizer) -> None:
    """sentence-transformers and we, on queries and on passages, after saving and after loading back."""
    judge = SentenceTransformer(str(folder), device="cpu")
    loaded, loaded_tokenizer = load_encoder_folder(folder)
    assert loaded_tokenizer.input_format == text_tokenizer.input_format
    for ours, our_tokenizer in ((encoder, text_tokenizer), (loaded, loaded_tokenizer)):
        ours.eval()
        with torch.no_grad():
            queries, passages = ours(our_tokenizer.queries(TEXTS[:3])), ours(our_tokenizer.passages(PASSAGES))
        np.testing.assert_allclose(judge.encode(TEXTS[:3], prompt_name="query"), queries.numpy(), atol=1e-5)
        np.testing.assert_allclose(judge.encode(TEXTS, prompt_name="passage"), passages.numpy(), atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize(("pooling", "normalize"), [("first", False), ("mean", True), ("last", False)])
def test_a_transformer_is_the_same_in_sentence_transformers(
    small_models: dict[str, Path], tmp_path: Path, family: str, pooling: str, normalize: bool
) -> None:
    folder = small_models[family]
    encoder = TransformerEncoder(load_backbone(str(folder), torch.float32, "packed"), pooling, normalize, "packed")
    text_tokenizer = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(folder)), FORMAT)
    save_encoder(encoder, text_tokenizer, tmp_path / "encoder")
    same_vectors(tmp_path / "encoder", encoder, text_tokenizer)


def test_lora_is_merged_into_what_is_saved(small_models: dict[str, Path], tmp_path: Path) -> None:
    folder = small_models["bert"]
    backbone = adapt(
        load_backbone(str(folder), torch.float32, "packed"), gradient_checkpointing=False, lora=LoraOptions(2, 2 * 2)
    )
    for name, parameter in backbone.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    encoder = TransformerEncoder(backbone, "mean", True, "packed")
    text_tokenizer = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(folder)), FORMAT)
    save_encoder(encoder, text_tokenizer, tmp_path / "encoder")
    same_vectors(tmp_path / "encoder", encoder, text_tokenizer)


def test_a_static_encoder_is_the_mean_of_its_tokens_vectors(static_folder: Path) -> None:
    vectors, tokenizer = read_static_vectors(static_folder)
    text_tokenizer = TextTokenizer(StaticTokenizer(tokenizer), InputFormat(16, 16))
    encoder = StaticEncoder(vectors, normalize=False)
    (vector,) = encoder(text_tokenizer.queries(["the lake"])).tolist()
    assert vector == [10.0, 11.0, 12.0, 13.0]  # the mean of rows 2 and 3; the residual layer starts at zero
    assert tokenizer.encode("other", add_special_tokens=False).tokens != ["▁other"], "a token without a vector is not used"


def test_a_static_encoder_is_the_same_in_sentence_transformers(static_folder: Path, tmp_path: Path) -> None:
    vectors, tokenizer = read_static_vectors(static_folder)
    text_tokenizer = TextTokenizer(StaticTokenizer(tokenizer), InputFormat(64, 64))
    for normalize in (False, True):
        encoder = StaticEncoder(vectors, normalize)
        torch.nn.init.normal_(encoder.head.weight)
        torch.nn.init.normal_(encoder.head.bias)
        save_encoder(encoder, text_tokenizer, tmp_path / f"encoder-{normalize}")
        same_vectors(tmp_path / f"encoder-{normalize}", encoder, text_tokenizer)


def test_model2vec_s_layout_is_read(static_folder: Path, tmp_path: Path) -> None:
    tokenizer_json = (static_folder / "tokenizer.json").read_bytes()
    size = Tokenizer.from_str(tokenizer_json.decode()).get_vocab_size()
    folder = tmp_path / "m2v"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(tokenizer_json)
    table = torch.arange(3.0)[:, None].expand(3, 2)
    mapping, weights = torch.arange(size) % 3, torch.full((size,), 2.0)
    save_file({"embeddings": table.contiguous(), "mapping": mapping, "weights": weights}, folder / "model.safetensors")
    vectors, _ = read_static_vectors(folder)
    assert vectors[:4].tolist() == [[0, 0], [2, 2], [4, 4], [0, 0]]


def test_folders_that_xdr_cannot_compute_are_refused(
    small_models: dict[str, Path], tmp_path: Path, static_folder: Path
) -> None:
    with pytest.raises(UserError, match="path must be a folder with vectors.npy and pieces.txt"):
        read_static_vectors(tmp_path)
    whole = (static_folder / "vectors.npy").read_bytes()
    (static_folder / "vectors.npy").write_bytes(whole[:-9])
    with pytest.raises(UserError, match=f"the static vectors in {static_folder} cannot be loaded: "):
        read_static_vectors(static_folder)
    (static_folder / "vectors.npy").write_bytes(whole)
    (static_folder / "pieces.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match="pieces.txt must have 8 different tokens, as vectors.npy has rows, got 2"):
        read_static_vectors(static_folder)
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.CNN", "path": ""}]))
    with pytest.raises(
        UserError, match="must be Transformer and Pooling, or StaticEmbedding, with Dense and Normalize .* got CNN"
    ):
        load_encoder_folder(tmp_path)
