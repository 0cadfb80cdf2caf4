"""One encoder for queries and passages, or one for each.

Q queries, P passages, B texts of a batch, D dimensions.
"""

from torch import Tensor, cat, nn, split
from torch.utils.checkpoint import checkpoint

from xdr.encoders.texts import Texts, by_length, concatenate, select


class BiEncoder(nn.Module):
    """Without a `passage_encoder`, `encoder` encodes both."""

    def __init__(self, encoder: nn.Module, passage_encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.passage_encoder = passage_encoder

    def encode_queries(self, texts: Texts, chunk_size: int = 0) -> Tensor:
        return encode_in_chunks(self.encoder, texts, chunk_size)

    def encode_passages(self, texts: Texts, chunk_size: int = 0) -> Tensor:
        return encode_in_chunks(self.passage_encoder or self.encoder, texts, chunk_size)

    def similarity(self, queries_QD: Tensor, passages_PD: Tensor) -> Tensor:
        """Returns the inner products (Q, P). A `TokenEncoder` returns MaxSim scores instead."""
        return queries_QD @ passages_PD.T

    def forward(self, queries: Texts, passages: Texts, chunk_size: int = 0) -> tuple[Tensor, Tensor]:
        """Returns the vectors of queries and those of passages. With `chunk_size` above 0, encodes that many texts at a time
        and discards their activations; the backward pass encodes each chunk again (GradCache). Memory then does not grow with
        the batch."""
        if self.passage_encoder is not None:
            return self.encode_queries(queries, chunk_size), self.encode_passages(passages, chunk_size)
        vectors = encode_in_chunks(self.encoder, concatenate([queries, passages]), chunk_size)
        num_queries = len(queries.lengths_B)
        return vectors[:num_queries], vectors[num_queries:]


def encode_in_chunks(encoder: nn.Module, texts: Texts, chunk_size: int) -> Tensor:
    """Texts of similar length share a chunk. Both encodings of a chunk use the same dropout."""
    if not chunk_size or len(texts.lengths_B) <= chunk_size:
        vectors: Tensor = encoder(texts)
        return vectors
    order_B = by_length(texts)
    parts = [checkpoint(encoder, select(texts, rows), use_reentrant=False) for rows in split(order_B, chunk_size)]
    return cat(parts)[order_B.argsort()]
