"""What a user asks of an encoder, and what its files say."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

from tests.encoders.conftest import TEXTS
from tests.encoders.test_encoder_folder import PASSAGES
from xdr.encoders.encoder import load_encoder
from xdr.encoders.encoder_folder import load_encoder_folder, save_encoder
from xdr.encoders.fingerprints import fingerprint_encoder
from xdr.encoders.input_format import EncoderOptions, InputFormat
from xdr.encoders.open_encoder import open_encoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.encoders.vector_layers import Dense
from xdr.errors import UserError


@pytest.fixture
def folder(small_models: dict[str, Path], tmp_path: Path) -> Path:
    return _saved(small_models["bert"], tmp_path)


def _saved(backbone: Path, tmp_path: Path) -> Path:
    """In sentence-transformers' layout, with a mean, and without prefixes, as the folders of E5 are."""
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


@pytest.mark.parametrize(
    ("settings", "query", "passage"),
    [
        ({"prompts": {"query": "q: ", "document": "d: "}}, "q: ", "d: "),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, "q: ", "p: "),
        ({"prompts": {"query": "q: ", "document": "", "passage": "p: "}}, "q: ", "p: "),
        ({"prompts": {"query": "q: ", "corpus": "c: "}}, "q: ", "c: "),
        ({"prompts": {"query": "Instruct: find\nQuery: ", "document": None}}, "Instruct: find\nQuery: ", ""),
        ({"prompts": {"query": "q: ", "sts": "s: "}, "default_prompt_name": "query"}, "q: ", ""),
        ({"prompts": {"sts": "s: "}, "default_prompt_name": "sts"}, "s: ", "s: "),
        ({"prompts": {"sts": "s: "}, "default_prompt_name": None}, "", ""),
        ({}, "", ""),
    ],
)
def test_prompts_are_those_of_sentence_transformers_and_others_can_be_given(
    folder: Path, settings: dict[str, Any], query: str, passage: str
) -> None:
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    ours = load_encoder(str(folder))
    assert (ours.tokenizer.input_format.query_prefix, ours.tokenizer.input_format.passage_prefix) == (query, passage)
    if "document" in (settings.get("prompts") or {}) and "passage" not in settings["prompts"]:
        judge = SentenceTransformer(str(folder), device="cpu")
        judge.max_seq_length = 24
        np.testing.assert_allclose(ours.encode_queries(TEXTS), judge.encode_query(TEXTS), atol=1e-5)
        judge.max_seq_length = 48
        np.testing.assert_allclose(ours.encode_passages(TEXTS), judge.encode_document(TEXTS), atol=1e-5)
    without = load_encoder(str(folder), query_prefix="", passage_prefix="other: ").tokenizer
    assert (without.input_format.query_prefix, without.input_format.passage_prefix) == ("", "other: ")


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("1_Pooling/config.json", {"include_prompt": False}, "include_prompt in .* must be true, got false"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "median"]}, "must be one or more of cls, .*, got mean, median"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "must be a module of torch.nn that needs no argument"),
        (
            "2_Dense/config.json",
            {"activation_function": "torch.nn.Linear"},
            "must be a module of torch.nn that needs no argument",
        ),
        (
            "2_Dense/config.json",
            {"module_input_name": "token_embeddings"},
            "module_input_name in .* must be sentence_embedding",
        ),
        ("2_Dense/config.json", {"out_features": 9}, "the dense layer in .*2_Dense cannot be loaded: "),
    ],
)
def test_a_folder_that_asks_for_what_xdr_cannot_do_is_refused_by_name(
    small_models: dict[str, Path], tmp_path: Path, file: str, changes: dict[str, Any], said: str
) -> None:
    backbone = load_backbone(str(small_models["bert"]), torch.float32, "packed")
    encoder = TransformerEncoder(backbone, "mean", True, "packed", [Dense(64, 8, True, torch.nn.Tanh())])
    tokenizer = TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(small_models["bert"])), InputFormat(24, 48))
    save_encoder(encoder, tokenizer, tmp_path / "encoder")
    path = tmp_path / "encoder" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=said):
        open_encoder(str(tmp_path / "encoder"))


def test_a_folder_that_lower_cases_does_so(folder: Path) -> None:
    path = folder / "sentence_bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": True}))
    texts = [text.upper() for text in TEXTS]
    ours = load_encoder(str(folder), query_length=48).encode_queries(texts)
    np.testing.assert_allclose(ours, load_encoder(str(folder), query_length=48).encode_queries(TEXTS), atol=1e-6)
    np.testing.assert_allclose(ours, SentenceTransformer(str(folder), device="cpu").encode(texts), atol=1e-5)


def test_static_vectors_are_not_truncated(static_folder: Path) -> None:
    with pytest.raises(UserError, match="truncate_dim must be null for static vectors, got 2"):
        open_encoder(str(static_folder), EncoderOptions(truncate_dim=2))


class _Code:
    """Unpickling it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


def test_weights_with_code_are_refused_in_one_sentence_and_not_run(small_models: dict[str, Path], tmp_path: Path) -> None:
    folder, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(small_models["bert"], folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": _Code(ran)}, folder / "pytorch_model.bin")
    for write in (lambda: None, lambda: (folder / "pytorch_model.bin").write_bytes(b"garbage" * 50)):
        write()
        with pytest.raises(UserError, match="^the model in .* cannot be loaded: its weights are not plain tensors.*") as said:
            open_encoder(str(folder), EncoderOptions(pooling="mean"))
        assert len(str(said.value).splitlines()) == 1
    checkpoint = tmp_path / "step=1.ckpt"
    torch.save({"state_dict": {"weight": _Code(ran)}}, checkpoint)
    save_encoder(*load_encoder_folder(_saved(small_models["bert"], tmp_path)), tmp_path / "model" / "encoder")
    with pytest.raises(UserError, match=r"^the encoder in .*step=1.ckpt cannot be loaded: its weights are not plain tensors"):
        open_encoder(str(checkpoint))
    assert not ran.exists()


def test_a_model_that_lacks_layers_is_refused(small_models: dict[str, Path], tmp_path: Path) -> None:
    """transformers would give them random weights."""
    shutil.copytree(small_models["bert"], tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(
        json.dumps({**config, "num_hidden_layers": config["num_hidden_layers"] + 1})
    )
    with pytest.raises(UserError, match=r"^the model in .*model is not whole: its files lack encoder.layer.* other weights"):
        open_encoder(str(tmp_path / "model"), EncoderOptions(pooling="mean"))


@pytest.mark.parametrize(
    "file", ["config.json", "modules.json", "xdr.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"]
)
@pytest.mark.parametrize("content", [b"", b"[1, 2", b"\xff\xfe{}", b"3", b'{"a": [1]}'])
def test_a_damaged_file_of_an_encoder_is_refused_in_one_sentence(folder: Path, file: str, content: bytes) -> None:
    before = fingerprint_encoder(*open_encoder(str(folder)))
    (folder / file).write_bytes(content)
    try:
        assert fingerprint_encoder(*open_encoder(str(folder))) != before
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(folder) in str(error)  # noqa: PT017  of the two outcomes
