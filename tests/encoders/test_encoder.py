from pathlib import Path

import numpy as np
import pytest

from tests.encoders.conftest import TEXTS
from xdr.encoders.encoder import load_encoder
from xdr.errors import UserError
from xdr.text.records import Passage


def test_an_encoder_takes_passages_as_records_texts_or_pairs(small_models: dict[str, Path]) -> None:
    encoder = load_encoder(str(small_models["bert"]), pooling="mean", normalize=True)
    records = encoder.encode_passages([Passage("1", "Saimaa", TEXTS[0]), Passage("2", "", TEXTS[1])])
    np.testing.assert_array_equal(records, encoder.encode_passages([("Saimaa", TEXTS[0]), TEXTS[1]]))
    assert records.shape == (2, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(records, axis=1), 1, rtol=1e-5)


def test_queries_have_their_own_prefix_and_length(small_models: dict[str, Path]) -> None:
    folder = str(small_models["bert"])
    plain = load_encoder(folder, pooling="first", passage_length=8)
    prefixed = load_encoder(folder, pooling="first", query_prefix="a ", query_length=8)
    np.testing.assert_allclose(
        prefixed.encode_queries(TEXTS), plain.encode_passages([f"a {text}" for text in TEXTS]), atol=1e-5
    )


def test_no_texts_have_no_vectors(small_models: dict[str, Path]) -> None:
    encoder = load_encoder(str(small_models["bert"]), pooling="first")
    assert encoder.encode_queries([]).shape == encoder.encode_passages([]).shape == (0, encoder.dimension)


def test_bfloat16_gives_nearly_the_vectors_of_float32(small_models: dict[str, Path]) -> None:
    vectors = [
        load_encoder(str(small_models["bert"]), pooling="mean", normalize=True, dtype=dtype).encode_queries(TEXTS)
        for dtype in ("float32", "bfloat16")
    ]
    assert vectors[1].dtype == np.float32
    assert ((vectors[0] * vectors[1]).sum(1) > 0.999).all()
    np.testing.assert_allclose(np.linalg.norm(vectors[1], axis=1), 1, rtol=1e-5)


def test_an_unknown_pooling_is_refused_with_those_there_are(small_models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="pooling must be one of first, last, mean, .* got 'median'"):
        load_encoder(str(small_models["bert"]), pooling="median")
