"""A causal backbone becomes an encoder through train.py, and its folder is sentence-transformers'."""

import json
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from tests.encoders.conftest import TEXTS
from tests.encoders.decoders import build_decoder
from tests.runs import run
from xdr.encoders.encoder import load_encoder

SETTINGS = [
    "model=transformer",
    "model.pooling=last",
    "model.normalize=true",
    "model.truncate_dim=16",
    "model.lora_rank=2",
    "model.query_length=48",
    "model.passage_length=48",
    "model.query_prefix='query: '",
    "model.score_scale=20.0",
    "model.chunk_size=24",
    "model.optimizer.learning_rate=1e-2",
    "callbacks.validation.largest_pool=0",
    "trainer.enable_progress_bar=false",
    "trainer.max_steps=4",
    "data.batches.size=16",
]


def test_a_trained_decoder_has_its_end_token_prompt_and_dimension_in_sentence_transformers(tmp_path: Path) -> None:
    backbone = build_decoder("gemma3", tmp_path / "backbone", end=False)
    run(tmp_path / "run", f"model.path={backbone}", quick=SETTINGS)
    folder = tmp_path / "run" / "encoder"
    ours, judge = load_encoder(str(folder)), SentenceTransformer(str(folder), device="cpu")
    vectors = ours.encode_queries(TEXTS)
    assert vectors.shape == (len(TEXTS), 16)
    np.testing.assert_allclose(vectors, judge.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours.encode_passages(TEXTS), judge.encode_document(TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"]["query"] == "query: "
    untrained = load_encoder(
        str(backbone), pooling="last", normalize=True, truncate_dim=16, query_length=48, query_prefix="query: "
    )
    assert not np.allclose(vectors, untrained.encode_queries(TEXTS), atol=1e-3), "nothing was learned"
