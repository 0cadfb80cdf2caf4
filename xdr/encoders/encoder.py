"""An encoder in memory: texts in, vectors out.

Q queries, P passages, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xdr.encoders.encoding import encode_texts
from xdr.encoders.inference import prepared_for_inference
from xdr.encoders.input_format import EncoderOptions
from xdr.encoders.models import Dtype
from xdr.encoders.open_encoder import open_encoder
from xdr.encoders.tokenization import TextTokenizer
from xdr.text.records import Passage


@dataclass(frozen=True)
class Encoder:
    """`passages` is the same module as `queries` where both share their weights. Prefixes and lengths are those of the
    tokenizer's input format."""

    queries: nn.Module
    passages: nn.Module
    tokenizer: TextTokenizer
    tokens_per_batch: int = 16384

    @property
    def dimension(self) -> int:
        dimension = self.queries.dimension
        assert isinstance(dimension, int)
        return dimension

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns one vector a text, (Q, D), in the order of the texts."""
        vectors_QD: NDArray[np.float32] = encode_texts(
            self.queries, self.tokenizer.queries(texts), self.tokens_per_batch
        ).numpy()
        return vectors_QD

    def encode_passages(self, passages: Sequence[Passage | str | tuple[str, str]]) -> NDArray[np.float32]:
        """Returns one vector a passage, (P, D), in the order of the passages: records, texts, or pairs of title and text."""
        texts = self.tokenizer.passages([_passage(passage) for passage in passages])
        vectors_PD: NDArray[np.float32] = encode_texts(self.passages, texts, self.tokens_per_batch).numpy()
        return vectors_PD


def _passage(passage: Passage | str | tuple[str, str]) -> Passage:
    if isinstance(passage, Passage):
        return passage
    title, text = ("", passage) if isinstance(passage, str) else passage
    return Passage("", title, text)


def load_encoder(
    name_or_path: str,
    *,
    pooling: str | None = None,
    normalize: bool | None = None,
    query_length: int | None = None,
    passage_length: int | None = None,
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
    truncate_dim: int | None = None,
    end_token: bool | None = None,
    dtype: Dtype = "float32",
    device: str = "cpu",
    tokens_per_batch: int = 16384,
) -> Encoder:
    """Loads an encoder from a checkpoint or output folder of a training, a folder in sentence-transformers' or Hugging Face's
    layout, a folder of static vectors, or by its name on the hub.

    None means: as the files of the encoder say. A plain backbone needs a `pooling`; without other files it has no prefixes,
    no normalization, and reads 32 tokens of a query and 128 of a passage. An empty prefix means none. `truncate_dim` keeps the
    first dimensions of a vector. `end_token` appends the end token to texts, as a plain causal backbone with the pooling `last`
    does anyway. `tokens_per_batch` bounds the memory.

    >>> encoder = load_encoder("intfloat/multilingual-e5-small", query_prefix="query: ")  # doctest: +SKIP
    >>> encoder.encode_queries(["Missä Saimaa sijaitsee?"]).shape  # doctest: +SKIP
    (1, 384)
    """
    options = EncoderOptions(
        pooling, normalize, query_length, passage_length, query_prefix, passage_prefix, truncate_dim, end_token
    )
    queries, passages, tokenizer = open_encoder(name_or_path, options, dtype=getattr(torch, dtype))
    queries = prepared_for_inference(queries.to(device))
    passages = queries if passages is None else prepared_for_inference(passages.to(device))
    return Encoder(queries, passages, tokenizer, tokens_per_batch)
