"""Every family of backbones, pooling and layer of a sentence-transformers folder: sentence-transformers is the judge."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import AutoTokenizer

from tests.encoders.conftest import TEXTS
from tests.encoders.decoders import CONFIGS, WINDOW, build_decoder
from xdr.encoders.encoder import load_encoder
from xdr.encoders.encoder_folder import load_encoder_folder, save_encoder
from xdr.encoders.input_format import EncoderOptions
from xdr.encoders.models import TransformerBiEncoder
from xdr.encoders.open_encoder import open_model
from xdr.encoders.texts import texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.errors import UserError

PROMPTS = {"query": "query: ", "document": "title: none | text: "}
TRAINED: dict[str, Any] = {
    "normalize": None,
    "tied": True,
    "truncate_dim": None,
    "end_token": None,
    "dtype": "float32",
    "dropout": None,
    "lora_rank": 0,
    "lora_alpha": None,
    "lora_dropout": 0.0,
    "lora_targets": None,
    "gradient_checkpointing": False,
    "compile_backbone": False,
    "query_length": 96,
    "passage_length": 96,
    "query_prefix": None,
    "passage_prefix": None,
}


def cutting(inputs: int, outputs: int) -> Any:
    layer = modules.Dense(inputs, outputs, bias=False, activation_function=torch.nn.Identity())
    torch.nn.init.eye_(layer.linear.weight)
    return layer


@pytest.fixture(scope="session")
def backbones(small_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("decoders")
    return small_models | {name: build_decoder(name, folder / name) for name in CONFIGS}


def dense(inputs: int, outputs: int, activation: torch.nn.Module, bias: bool = True, residual: bool = False) -> Any:
    torch.manual_seed(outputs)
    return modules.Dense(inputs, outputs, bias, activation, use_residual=residual)


def saved_by_sentence_transformers(backbone: Path, folder: Path, pooling: Any, *layers: Any, **settings: Any) -> Path:
    transformer = modules.Transformer(str(backbone))
    pool = modules.Pooling(transformer.get_embedding_dimension(), pooling)
    model = SentenceTransformer(modules=[transformer, pool, *layers], device="cpu", **({"prompts": PROMPTS} | settings))
    model.save(str(folder), create_model_card=False)
    return folder


def require_the_judge_s_vectors(folder: Path, ours: Any, *, normalized: bool = False) -> None:
    judge = SentenceTransformer(str(folder), device="cpu")
    how = {"normalize_embeddings": normalized, "batch_size": 3}
    np.testing.assert_allclose(ours.encode_queries(TEXTS), judge.encode_query(TEXTS, **how), atol=1e-5)
    np.testing.assert_allclose(ours.encode_passages(TEXTS), judge.encode_document(TEXTS, **how), atol=1e-5)


AS_THEY_ARE_USED = {
    "bert": ("mean", ["normalize"]),
    "xlm-roberta": ("cls", ["normalize"]),
    "qwen3": ("lasttoken", ["normalize"]),
    "qwen3_windowed": ("lasttoken", []),
    "qwen2": ("lasttoken", ["normalize"]),
    "gemma": ("weightedmean", []),
    "gemma3": ("mean", []),
    "embedding_gemma": ("mean", ["up", "down", "normalize"]),
    "mistral": ("lasttoken", ["normalize"]),
    "llama": ("lasttoken", []),
}


@pytest.mark.parametrize("family", AS_THEY_ARE_USED)
def test_each_family_gives_the_judge_s_vectors_before_and_after_export(
    backbones: dict[str, Path], tmp_path: Path, family: str
) -> None:
    assert max(map(len, TEXTS)) > 4 * WINDOW
    pooling, names = AS_THEY_ARE_USED[family]
    layers = {
        "normalize": modules.Normalize(),
        "up": dense(32, 48, torch.nn.Identity(), bias=False),
        "down": dense(48, 32, torch.nn.Identity(), bias=False),
    }
    folder = saved_by_sentence_transformers(backbones[family], tmp_path / "theirs", pooling, *(layers[name] for name in names))
    encoder, tokenizer = load_encoder_folder(folder)
    assert isinstance(encoder, TransformerEncoder) and encoder.batching == "packed"
    save_encoder(encoder, tokenizer, tmp_path / "ours")
    require_the_judge_s_vectors(folder, load_encoder(str(folder)))
    require_the_judge_s_vectors(tmp_path / "ours", load_encoder(str(folder)))
    require_the_judge_s_vectors(tmp_path / "ours", load_encoder(str(tmp_path / "ours")))


ALONE = ["cls", "lasttoken", "mean", "max", "weightedmean", "mean_sqrt_len_tokens"]
TOGETHER = [["mean", "cls"], ["lasttoken", "max", "mean"]]


@pytest.mark.parametrize("mode", [*ALONE, *TOGETHER], ids=str)
@pytest.mark.parametrize("family", ["bert", pytest.param("qwen3", marks=pytest.mark.slow)])
def test_each_pooling_gives_the_judge_s_vectors_before_and_after_export(
    backbones: dict[str, Path], tmp_path: Path, family: str, mode: Any
) -> None:
    folder = saved_by_sentence_transformers(backbones[family], tmp_path / "theirs", mode)
    ours = load_encoder(str(folder))
    require_the_judge_s_vectors(folder, ours)
    save_encoder(*load_encoder_folder(folder), tmp_path / "ours")
    require_the_judge_s_vectors(tmp_path / "ours", ours)


LAYERS = {
    "tanh": lambda: [dense(64, 48, torch.nn.Tanh())],
    "gelu without bias, normalized": lambda: [dense(64, 48, torch.nn.GELU(), bias=False), modules.Normalize()],
    "normalized before": lambda: [modules.Normalize(), dense(64, 16, torch.nn.Identity())],
    "normalized twice": lambda: [modules.Normalize(), dense(64, 16, torch.nn.ReLU()), modules.Normalize()],
    "residual": lambda: [dense(64, 64, torch.nn.Tanh(), residual=True)],
    "projected residual": lambda: [dense(64, 24, torch.nn.Sigmoid(), residual=True), modules.Normalize()],
    "a layer that cuts": lambda: [cutting(64, 24), modules.Normalize()],
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("truncate_dim", [12, pytest.param(None, marks=pytest.mark.slow)])
def test_layers_and_truncation_give_the_judge_s_vectors_before_and_after_export(
    backbones: dict[str, Path], tmp_path: Path, name: str, truncate_dim: int | None
) -> None:
    folder = saved_by_sentence_transformers(
        backbones["bert"], tmp_path / "theirs", "mean", *LAYERS[name](), truncate_dim=truncate_dim
    )
    encoder, tokenizer = load_encoder_folder(folder)
    assert isinstance(encoder, TransformerEncoder)
    ours = load_encoder(str(folder))
    assert ours.dimension == ours.encode_queries(TEXTS).shape[1] == (truncate_dim or encoder.dimension)
    require_the_judge_s_vectors(folder, ours, normalized=encoder.normalize)
    save_encoder(encoder, tokenizer, tmp_path / "ours")
    require_the_judge_s_vectors(tmp_path / "ours", ours)
    again, _ = load_encoder_folder(tmp_path / "ours")
    assert isinstance(again, TransformerEncoder) and again.truncate_dim == encoder.truncate_dim
    assert again.state_dict().keys() == encoder.state_dict().keys(), "a checkpoint's weights fit the folder beside it"


def test_truncated_vectors_are_the_first_dimensions_and_cosines_where_vectors_are_normalized(
    backbones: dict[str, Path], tmp_path: Path
) -> None:
    raw = saved_by_sentence_transformers(backbones["bert"], tmp_path / "raw", "mean")
    unit = saved_by_sentence_transformers(backbones["bert"], tmp_path / "unit", "mean", modules.Normalize())
    full = load_encoder(str(raw)).encode_queries(TEXTS)[:, :10]
    np.testing.assert_allclose(load_encoder(str(raw), truncate_dim=10).encode_queries(TEXTS), full, atol=1e-6)
    cut = load_encoder(str(unit), truncate_dim=10).encode_queries(TEXTS)
    np.testing.assert_allclose(cut, full / np.linalg.norm(full, axis=1, keepdims=True), atol=1e-6)
    with pytest.raises(UserError, match="truncate_dim must be at most 64, the dimension of the vectors, got 65"):
        load_encoder(str(unit), truncate_dim=65)


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "embedding_gemma"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_token_is_the_same_whatever_side_the_judge_pads(
    backbones: dict[str, Path], tmp_path: Path, family: str, side: str
) -> None:
    folder = saved_by_sentence_transformers(backbones[family], tmp_path / side, "lasttoken")
    judge = SentenceTransformer(str(folder), device="cpu")
    judge.tokenizer.padding_side = side
    ours = load_encoder(str(folder)).encode_queries(TEXTS)
    np.testing.assert_allclose(ours, judge.encode_query(TEXTS, batch_size=len(TEXTS)), atol=1e-5)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("pooling", ["last", "first+mean"])
def test_packed_and_grouped_decoders_have_the_vectors_and_gradients_of_padded_ones(
    backbones: dict[str, Path], family: str, pooling: str
) -> None:
    texts = texts_of(AutoTokenizer.from_pretrained(backbones[family])(TEXTS).input_ids)
    found = {}
    for batching in ("padded", "grouped", "packed"):
        backbone = load_backbone(str(backbones[family]), torch.float32, batching)
        encoder = TransformerEncoder(backbone, pooling, True, batching).train()
        vectors = encoder(texts)
        (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
        found[batching] = vectors.detach(), torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])
    for batching in ("grouped", "packed"):
        for ours, expected in zip(found[batching], found["padded"], strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_a_causal_backbone_s_first_token_sees_no_other(backbones: dict[str, Path]) -> None:
    for family, sees_others in (("qwen3", False), ("embedding_gemma", True)):
        vectors = load_encoder(str(backbones[family]), pooling="first").encode_queries(TEXTS[:2])
        assert np.allclose(vectors[0], vectors[1], atol=1e-6) != sees_others


def test_a_plain_causal_backbone_pools_the_end_token_and_keeps_it_in_the_export(tmp_path: Path) -> None:
    without = build_decoder("llama", tmp_path / "without", end=False)
    within = build_decoder("llama", tmp_path / "with", end=True)
    expected = load_encoder(str(within), pooling="last", query_length=12).encode_queries(TEXTS)
    ours = load_encoder(str(without), pooling="last", query_length=12)
    np.testing.assert_allclose(ours.encode_queries(TEXTS), expected, atol=1e-6)  # also where a text is cut
    assert not np.allclose(load_encoder(str(without), pooling="last", end_token=False).encode_queries(TEXTS), expected)
    asked = load_encoder(str(without), pooling="mean", end_token=True).encode_queries(TEXTS)
    np.testing.assert_allclose(asked, load_encoder(str(within), pooling="mean").encode_queries(TEXTS), atol=1e-6)
    with pytest.raises(UserError, match="end_token must be true or null, got false. The tokenizer of .* appends its end token"):
        load_encoder(str(within), pooling="last", end_token=False)
    encoder, tokenizer = open_model(str(without), EncoderOptions(pooling="last", query_length=128))
    save_encoder(encoder, tokenizer, tmp_path / "exported")
    require_the_judge_s_vectors(tmp_path / "exported", load_encoder(str(within), pooling="last", query_length=128))


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "qwen3", "gemma3", "mistral", "llama"])
def test_dropout_can_be_set_for_each_family(backbones: dict[str, Path], tmp_path: Path, family: str) -> None:
    def in_training(dropout: float | None) -> tuple[torch.Tensor, torch.Tensor]:
        settings = TRAINED | {"dropout": dropout}
        model, tokenizer = TransformerBiEncoder(str(backbones[family]), pooling="last", batching="packed", **settings).build(
            tmp_path, 0
        )
        inference = model.eval().encoder(tokenizer.queries(TEXTS))
        return model.train().encoder(tokenizer.queries(TEXTS)), inference

    torch.testing.assert_close(*in_training(0.0))
    dropped, whole = in_training(0.5)
    assert (dropped - whole).abs().max() > 0.01


@pytest.mark.parametrize(
    ("family", "targets", "trained"),
    [
        ("bert", None, {"query", "value"}),
        ("xlm-roberta", None, {"query", "value"}),
        *((family, None, {"q_proj", "v_proj"}) for family in ("qwen3", "gemma3", "embedding_gemma", "mistral", "llama")),
        ("qwen3", ["k_proj", "down_proj"], {"k_proj", "down_proj"}),
    ],
)
def test_low_rank_updates_are_of_the_family_s_layers_or_of_those_that_are_named(
    backbones: dict[str, Path], tmp_path: Path, family: str, targets: list[str] | None, trained: set[str]
) -> None:
    settings = TRAINED | {"lora_rank": 2, "lora_targets": targets, "gradient_checkpointing": True}
    bi_encoder, tokenizer = TransformerBiEncoder(str(backbones[family]), pooling="last", batching="packed", **settings).build(
        tmp_path, 0
    )
    bi_encoder.train()
    queries, passages = bi_encoder(tokenizer.queries(TEXTS), tokenizer.queries(TEXTS[::-1]))
    (queries * passages).sum().backward()
    names = [name for name, parameter in bi_encoder.named_parameters() if parameter.grad is not None]
    assert {name.split(".")[-4] for name in names if "lora_" in name} == trained
    assert all("lora_" in name for name in names)
    with torch.no_grad():
        for name, parameter in bi_encoder.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    save_encoder(bi_encoder.encoder.eval(), tokenizer, tmp_path / "saved")
    expected = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(TEXTS)
    with torch.no_grad():
        np.testing.assert_allclose(bi_encoder.encoder(tokenizer.queries(TEXTS)), expected, atol=1e-5)


def test_lora_targets_that_are_no_layers_are_refused_with_those_there_are(backbones: dict[str, Path], tmp_path: Path) -> None:
    settings = TRAINED | {"lora_rank": 2, "lora_targets": ["query"]}
    with pytest.raises(UserError, match="lora_targets must name linear layers of a llama backbone, such as .*q_proj.*query"):
        TransformerBiEncoder(str(backbones["llama"]), pooling="last", batching="packed", **settings).build(tmp_path, 0)
