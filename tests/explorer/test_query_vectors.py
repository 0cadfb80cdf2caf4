"""The encoder loads in the background, once."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from xdr.errors import UserError
from xdr.explorer.query_vectors import NotReady, QueryVectors


class Counting:
    """An encoder whose vectors are the lengths of texts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        return np.array([[len(text)] for text in texts], np.float32)


def test_nothing_is_answered_before_the_encoder_is_there_and_nothing_is_encoded_twice() -> None:
    encoder, may_load = Counting(), threading.Event()
    vectors = QueryVectors(lambda: may_load.wait(60) and encoder, ["aa", "bbb"])  # type: ignore[arg-type, return-value]  # it waits, then loads
    vectors.start()
    with pytest.raises(NotReady):
        vectors.of(["aa"])
    assert not vectors.is_ready
    may_load.set()
    assert vectors.wait(60)
    before = len(encoder.asked)
    assert vectors.of(["cccc", "aa", "cccc", "bbb"]).tolist() == [[4], [2], [4], [3]]
    assert vectors.of(["cccc"]).tolist() == [[4]]
    assert encoder.asked[before:] == ["cccc"]


@pytest.mark.parametrize("error", [UserError("the checkpoint is gone"), OSError("the checkpoint is gone")])
def test_a_request_says_why_there_is_no_encoder(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def load() -> Any:
        raise error

    vectors = QueryVectors(load, ["aa"])
    vectors.start()
    assert not vectors.wait(60)
    with pytest.raises(UserError, match="the checkpoint is gone"):
        vectors.of(["aa"])
    assert "the checkpoint is gone" in capsys.readouterr().err
