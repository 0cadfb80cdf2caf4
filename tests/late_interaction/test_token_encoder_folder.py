"""Token vectors, scores and losses beside those of sentence-transformers' MultiVectorEncoder, on the same weights."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import MultiVectorEncoder

from tests.encoders.conftest import TEXTS
from tests.late_interaction.conftest import colbert, token_vectors
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.late_interaction.max_similarity import max_similarity
from xdr.late_interaction.token_encoder import TokenEncoder
from xdr.late_interaction.token_encoder_folder import load_token_encoder, open_token_encoder, save_token_encoder
from xdr.text.records import Passage

QUERIES = ["Where is Saimaa?", "a", "Missä Saimaa sijaitsee, ja miksi se on niin suuri? Kerro minulle kaikki, mitä tiedät."]


def assert_same(ours: TokenEncoder, tokenizer: TextTokenizer, theirs: MultiVectorEncoder) -> None:
    passages = [Passage("", "", text) for text in TEXTS]
    with torch.no_grad():
        queries = ours.encode_queries(tokenizer.queries(QUERIES))
        found = ours.encode_passages(tokenizer.passages(passages))
    of_queries, of_passages = theirs.encode_query(QUERIES), theirs.encode_document(TEXTS)
    for own, other in ((queries, of_queries), (found, of_passages)):
        for vectors, expected in zip(token_vectors(own), other, strict=True):
            torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(max_similarity(queries, found), theirs.similarity(of_queries, of_passages), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("settings", [{}, {"attend_to_expansion": True}, {"query_expansion": False, "skip_punctuation": False}])
def test_sentence_transformers_reads_what_xdr_writes(
    family: str, settings: dict[str, Any], small_models: dict[str, Path], tmp_path: Path
) -> None:
    encoder, tokenizer = colbert(small_models[family], query_prefix="query: ", **settings).build(tmp_path, 1)
    save_token_encoder(encoder.eval(), tokenizer, tmp_path / "saved")
    theirs = MultiVectorEncoder(str(tmp_path / "saved"), device="cpu")
    assert_same(encoder, tokenizer, theirs)
    assert_same(*open_token_encoder(str(tmp_path / "saved")), theirs)


@pytest.mark.parametrize("expansion", [None, ("fixed", False), ("fixed", True), ("min", False)])
@pytest.mark.parametrize("batching", ["packed", "grouped", "padded"])
def test_xdr_reads_what_sentence_transformers_writes(
    expansion: tuple[str, bool] | None, batching: Any, small_models: dict[str, Path], tmp_path: Path
) -> None:
    prompts = {"query": "[Q] ", "document": "[D] "}
    theirs = MultiVectorEncoder(str(small_models["bert"]), prompts=prompts, device="cpu")
    transformer: Any = theirs[0]
    transformer.document_length = 12
    if expansion is not None:
        transformer.query_expansion = {"strategy": expansion[0], "attend": expansion[1], "length": 16}
    mask: Any = theirs[2]
    mask.skiplist_words = list(string.punctuation)
    mask.resolve_with_tokenizer(theirs.tokenizer)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    encoder, tokenizer = load_token_encoder(tmp_path / "theirs", batching=batching)
    assert tokenizer.input_format.passage_length == 12
    assert_same(encoder.eval(), tokenizer, theirs)


def test_a_folder_of_pylate_is_read_after_sentence_transformers_has_saved_it(
    small_models: dict[str, Path], tmp_path: Path
) -> None:
    MultiVectorEncoder(str(small_models["bert"]), device="cpu").save_pretrained(str(tmp_path / "pylate"))
    modules = json.loads((tmp_path / "pylate" / "modules.json").read_text())[:2]
    modules[1]["type"] = "pylate.models.Dense.Dense"
    settings = {"model_type": "ColBERT", "query_prefix": "[Q] ", "document_prefix": "[D] "}
    settings |= {"query_length": 16, "document_length": 12, "do_query_expansion": True, "attend_to_expansion_tokens": False}
    for name, content in (("modules", modules), ("config_sentence_transformers", settings)):
        (tmp_path / "pylate" / f"{name}.json").write_text(json.dumps(content))
    theirs = MultiVectorEncoder(str(tmp_path / "pylate"), device="cpu")
    theirs.save_pretrained(str(tmp_path / "saved"))
    encoder, tokenizer = load_token_encoder(tmp_path / "saved")
    assert (tokenizer.input_format.query_length, tokenizer.input_format.passage_length) == (16, 12)
    assert encoder.tokens.query_tokens == 16 and encoder.tokens.skipped_words == tuple(string.punctuation)
    assert_same(encoder.eval(), tokenizer, theirs)


def test_what_xdr_cannot_do_is_refused_by_name(small_models: dict[str, Path], tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    theirs = MultiVectorEncoder(str(small_models["bert"]), similarity_fn_name="meanmaxsim", device="cpu")
    theirs.save_pretrained(str(tmp_path / "mean"))
    with pytest.raises(UserError, match="similarity_fn_name of .* must be maxsim, got meanmaxsim"):
        load_token_encoder(tmp_path / "mean")
    theirs.append(Pooling(128))
    theirs.save_pretrained(str(tmp_path / "pooled"))
    with pytest.raises(UserError, match="must be Transformer, Dense, MultiVectorMask and Normalize, got .*Pooling"):
        load_token_encoder(tmp_path / "pooled")
    with pytest.raises(UserError, match="a late-interaction encoder must be a checkpoint"):
        open_token_encoder(str(small_models["bert"]))
