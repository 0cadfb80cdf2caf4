import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from xdr.encoders.bi_encoder import encode_in_chunks
from xdr.encoders.input_format import LoraOptions
from xdr.encoders.texts import Texts, by_length, pad, select, texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, adapt, load_backbone
from xdr.errors import UserError


def tokens(folder: Path) -> Texts:
    return texts_of(AutoTokenizer.from_pretrained(folder)(TEXTS).input_ids)


def vectors_and_gradients(folder: Path, batching: str, pooling: str, chunk_size: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    encoder = TransformerEncoder(load_backbone(str(folder), torch.float32, batching), pooling, False, batching).train()
    vectors = encode_in_chunks(encoder, tokens(folder), chunk_size)
    weights = torch.linspace(-1, 1, vectors.numel()).view_as(vectors)
    (vectors * weights).sum().backward()
    return vectors.detach(), torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])


def test_texts_are_selected_ordered_and_padded() -> None:
    texts = texts_of([[1, 2, 3], [4], [5, 6]])
    chosen = select(texts, torch.tensor([2, 0]))
    assert chosen.ids_T.tolist() == [5, 6, 1, 2, 3]
    assert chosen.lengths_B.tolist() == [2, 3]
    assert by_length(texts).tolist() == [1, 2, 0]
    ids_BL, mask_BL = pad(texts, 0)
    assert ids_BL.tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert mask_BL.sum(1).tolist() == [3, 1, 2]


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_packed_and_grouped_equal_padded(small_models: dict[str, Path], family: str, pooling: str) -> None:
    expected, expected_gradients = vectors_and_gradients(small_models[family], "padded", pooling)
    for batching in ("packed", "grouped"):
        vectors, gradients = vectors_and_gradients(small_models[family], batching, pooling)
        torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradients, expected_gradients, atol=1e-4, rtol=1e-4)


def test_packed_gradients_in_bfloat16_are_nearly_those_in_float32(small_models: dict[str, Path]) -> None:
    vectors, gradients = vectors_and_gradients(small_models["bert"], "packed", "mean")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed_vectors, mixed_gradients = vectors_and_gradients(small_models["bert"], "packed", "mean")
    assert (torch.cosine_similarity(mixed_vectors.float(), vectors) > 0.999).all()
    assert torch.cosine_similarity(mixed_gradients, gradients, dim=0) > 0.999


@pytest.mark.parametrize("batching", ["packed", "padded"])
def test_chunks_give_the_vectors_and_gradients_of_one_batch(small_models: dict[str, Path], batching: str) -> None:
    expected, expected_gradients = vectors_and_gradients(small_models["bert"], batching, "mean")
    vectors, gradients = vectors_and_gradients(small_models["bert"], batching, "mean", chunk_size=3)
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-4, rtol=1e-4)


def test_padded_equals_hugging_face_itself(small_models: dict[str, Path]) -> None:
    from transformers import AutoModel

    folder = small_models["bert"]
    encoded = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    expected = AutoModel.from_pretrained(folder, add_pooling_layer=False)(**encoded).last_hidden_state[:, 0]
    vectors, _ = vectors_and_gradients(folder, "packed", "first")
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-5)


def test_there_is_no_pooler_that_nothing_trains(small_models: dict[str, Path]) -> None:
    for folder in small_models.values():
        names = [name for name, _ in load_backbone(str(folder), torch.float32, "packed").named_parameters()]
        assert names
        assert not [name for name in names if "pooler" in name]


def test_lora_trains_few_weights_and_checkpointing_keeps_the_result(small_models: dict[str, Path]) -> None:
    folder = small_models["bert"]
    plain = TransformerEncoder(load_backbone(str(folder), torch.float32, "packed"), "mean", False, "packed").train()
    backbone = adapt(
        load_backbone(str(folder), torch.float32, "packed"), gradient_checkpointing=True, lora=LoraOptions(4, 2 * 4)
    )
    adapted = TransformerEncoder(backbone, "mean", False, "packed").train()
    texts = tokens(folder)
    torch.testing.assert_close(adapted(texts), plain(texts), atol=1e-5, rtol=1e-5)
    adapted(texts).square().sum().backward()
    trained = {name for name, parameter in adapted.named_parameters() if parameter.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)


def test_what_cannot_be_loaded_is_explained(small_models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match="path must be a model folder, or the name of a model on the hub .*, got .*nowhere. There is no such folder",
    ):
        load_backbone(str(tmp_path / "nowhere"), torch.float32, "packed")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "distilbert"}))
    with pytest.raises(UserError, match="batching must be grouped or padded for a distilbert backbone, got packed"):
        load_backbone(str(tmp_path), torch.float32, "packed")
