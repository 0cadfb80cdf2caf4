"""Two towers, or one that is both."""

from torch import Tensor, cat, nn, split
from torch.utils.checkpoint import checkpoint

from xdr.encoders.texts import Texts, by_length, concatenate, select


class BiEncoder(nn.Module):
    """Tied where there is no second encoder."""

    def __init__(self, encoder: nn.Module, passage_encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.passage_encoder = passage_encoder

    def encode_queries(self, texts: Texts) -> Tensor:
        vectors: Tensor = self.encoder(texts)
        return vectors

    def encode_passages(self, texts: Texts) -> Tensor:
        vectors: Tensor = (self.passage_encoder or self.encoder)(texts)
        return vectors

    def forward(self, queries: Texts, passages: Texts, chunk_size: int = 0) -> tuple[Tensor, Tensor]:
        """Vectors of both. `chunk_size` above zero encodes so many texts at a time and keeps no activations of them: the
        backward pass encodes each chunk again (GradCache), so that memory does not grow with the batch."""
        if self.passage_encoder is not None:
            return (
                encode_in_chunks(self.encoder, queries, chunk_size),
                encode_in_chunks(self.passage_encoder, passages, chunk_size),
            )
        vectors = encode_in_chunks(self.encoder, concatenate([queries, passages]), chunk_size)
        num_queries = len(queries.lengths_B)
        return vectors[:num_queries], vectors[num_queries:]


def encode_in_chunks(encoder: nn.Module, texts: Texts, chunk_size: int) -> Tensor:
    """Chunks are of texts of like length. Randomness (dropout) is that of the first encoding in the second as well."""
    if not chunk_size or len(texts.lengths_B) <= chunk_size:
        vectors: Tensor = encoder(texts)
        return vectors
    order_B = by_length(texts)
    parts = [checkpoint(encoder, select(texts, rows), use_reentrant=False) for rows in split(order_B, chunk_size)]
    return cat(parts)[order_B.argsort()]
