"""multilingual-e5-small, which users load from the hub: XDR_MODELS names a folder that holds it as `e5`."""

import os
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from tests.encoders.conftest import TEXTS
from xdr.encoders.encoder import load_encoder
from xdr.encoders.encoder_folder import load_encoder_folder, save_encoder


@pytest.fixture
def e5() -> Path:
    folder = Path(os.environ.get("XDR_MODELS", "/nowhere")) / "e5"
    if not folder.is_dir():
        pytest.skip("multilingual-e5-small is not on this machine: XDR_MODELS must name a folder that holds it as e5")
    return folder


@pytest.mark.slow
def test_multilingual_e5_small_gives_the_judge_s_vectors_before_and_after_export(e5: Path, tmp_path: Path) -> None:
    judge = SentenceTransformer(str(e5), device="cpu")
    queries, passages = judge.encode(TEXTS, prompt="query: "), judge.encode(TEXTS, prompt="passage: ")
    ours = load_encoder(str(e5), query_prefix="query: ", passage_prefix="passage: ")
    np.testing.assert_allclose(ours.encode_queries(TEXTS), queries, atol=1e-5)
    np.testing.assert_allclose(ours.encode_passages(TEXTS), passages, atol=1e-5)
    encoder, _ = load_encoder_folder(e5)
    save_encoder(encoder, ours.tokenizer, tmp_path / "exported")
    exported = SentenceTransformer(str(tmp_path / "exported"), device="cpu")
    np.testing.assert_allclose(exported.encode_query(TEXTS), queries, atol=1e-5)
    np.testing.assert_allclose(exported.encode_document(TEXTS), passages, atol=1e-5)
    np.testing.assert_allclose(
        load_encoder(str(tmp_path / "exported"), truncate_dim=64).encode_queries(TEXTS), cut(queries), atol=1e-5
    )


def cut(vectors: np.ndarray) -> np.ndarray:
    first = vectors[:, :64]
    return np.asarray(first / np.linalg.norm(first, axis=1, keepdims=True))
