"""Late interaction (ColBERT): a backbone that makes a vector of every token, in the place of a bi-encoder.

B texts, Q queries, P passages, T tokens of all texts, L tokens of the longest, H dimensions of the backbone, D of the vectors.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xdr.encoders.input_format import Batching
from xdr.encoders.packing import NAME, packed_inputs
from xdr.encoders.texts import Texts, by_length, pad, select
from xdr.encoders.transformer_encoder import NUM_GROUPS
from xdr.encoders.vector_layers import output_dimension
from xdr.late_interaction.max_similarity import max_similarity, padded


@dataclass(frozen=True)
class TokenChoice:
    """Which tokens have vectors. Queries are filled up to `query_tokens` with the token `expansion_id`, the mask (query
    expansion); 0 leaves them as they are. Other tokens see these only with `attend`. Passages have no vectors of the tokens
    `skipped_ids`, which stand for `skipped_words`: punctuation."""

    query_tokens: int = 0
    expansion_id: int = 0
    expansion_token: str | None = None
    """As the files name it; None is the tokenizer's own mask."""
    attend: bool = False
    skipped_words: tuple[str, ...] = ()
    skipped_ids: tuple[int, ...] = ()


class TokenEncoder(nn.Module):
    """Has the methods of a `BiEncoder`, with vectors of norm 1 for each token: (B, L, D), zeros behind the tokens of a text."""

    normalize = True
    _skipped: Tensor

    def __init__(self, backbone: Any, layers: Sequence[nn.Module], batching: Batching, tokens: TokenChoice) -> None:
        super().__init__()
        self.backbone = backbone
        self.layers = nn.Sequential(*layers)
        self.batching: Batching = batching
        self.tokens = tokens
        self.register_buffer("_skipped", torch.tensor(tokens.skipped_ids, dtype=torch.long), persistent=False)

    @property
    def dimension(self) -> int:
        return output_dimension(self.layers, self.backbone.config.hidden_size)

    @property
    def pooling(self) -> str:
        return f"none: {self.tokens}"

    def encode_queries(self, texts: Texts, chunk_size: int = 0) -> Tensor:
        expanded = self._expanded(texts)
        seen_B = expanded.lengths_B if self.tokens.attend else texts.lengths_B
        return padded(self._in_chunks(expanded, seen_B, chunk_size), expanded.lengths_B)

    def encode_passages(self, texts: Texts, chunk_size: int = 0) -> Tensor:
        vectors_TD = self._in_chunks(texts, texts.lengths_B, chunk_size)
        kept_T = ~torch.isin(texts.ids_T, self._skipped)
        text_T = torch.arange(len(texts.lengths_B), device=kept_T.device).repeat_interleave(texts.lengths_B)
        lengths_B = torch.bincount(text_T[kept_T], minlength=len(texts.lengths_B))
        kept_T[texts.starts_B[lengths_B == 0]] = True  # no passage is without a vector
        return padded(vectors_TD[kept_T], lengths_B.clamp(min=1))

    def similarity(self, queries_QLD: Tensor, passages_PLD: Tensor) -> Tensor:
        return max_similarity(queries_QLD, passages_PLD)

    def forward(self, queries: Texts, passages: Texts, chunk_size: int = 0) -> tuple[Tensor, Tensor]:
        """The vectors of queries and of passages; `chunk_size` is that of `BiEncoder`."""
        return self.encode_queries(queries, chunk_size), self.encode_passages(passages, chunk_size)

    def _expanded(self, texts: Texts) -> Texts:
        """The texts with further tokens behind the short ones."""
        lengths_B = texts.lengths_B.clamp(min=self.tokens.query_tokens)
        ids_BL, _ = pad(texts, self.tokens.expansion_id)
        longest = int(lengths_B.max())
        ids_BL = F.pad(ids_BL, (0, longest - ids_BL.shape[1]), value=self.tokens.expansion_id)
        return Texts(ids_BL[torch.arange(longest, device=ids_BL.device) < lengths_B[:, None]], lengths_B)

    def _in_chunks(self, texts: Texts, seen_B: Tensor, chunk_size: int) -> Tensor:
        """The vectors (T, D) of all tokens; texts attend to the first `seen_B` tokens of theirs."""
        rows_B = torch.arange(len(texts.lengths_B), device=texts.lengths_B.device)
        if not chunk_size or len(rows_B) <= chunk_size:
            return self._vectors(texts, seen_B)
        parts = [
            checkpoint(self._vectors, select(texts, rows), seen_B[rows], use_reentrant=False)
            for rows in torch.split(rows_B, chunk_size)
        ]
        return torch.cat(parts)

    def _vectors(self, texts: Texts, seen_B: Tensor) -> Tensor:
        order_B = by_length(texts)
        groups = order_B.tensor_split(NUM_GROUPS if self.batching == "grouped" else 1)
        hidden_TH = torch.cat([self._states(select(texts, rows), seen_B[rows]) for rows in groups if len(rows)])
        numbers = Texts(torch.arange(len(texts.ids_T), device=texts.ids_T.device), texts.lengths_B)
        vectors_TD: Tensor = self.layers(hidden_TH[select(numbers, order_B).ids_T.argsort()])
        return F.normalize(vectors_TD.float(), dim=-1)

    def _states(self, texts: Texts, seen_B: Tensor) -> Tensor:
        """The last hidden states (T, H) of texts that are sorted by length."""
        cache = {"use_cache": False} if getattr(self.backbone.config, "use_cache", False) else {}
        if self.batching == "packed" and torch.equal(seen_B, texts.lengths_B):
            inputs = packed_inputs(texts, self.backbone.config.model_type)
            packed_TH: Tensor = self.backbone(**inputs, **cache).last_hidden_state[0]
            return packed_TH
        ids_BL, mask_BL = pad(texts, self.backbone.config.pad_token_id or 0)
        seen_BL = torch.arange(mask_BL.shape[1], device=mask_BL.device) < seen_B[:, None]
        with _attention_with_masks(self.backbone):
            hidden_BLH: Tensor = self.backbone(input_ids=ids_BL, attention_mask=seen_BL.long(), **cache).last_hidden_state
        return hidden_BLH[mask_BL]


@contextmanager
def _attention_with_masks(backbone: Any) -> Iterator[None]:
    """Packed attention has no masks, which hide the tokens of an expansion from the others."""
    own = backbone.config._attn_implementation
    backbone.set_attn_implementation("sdpa" if own == NAME else own)
    try:
        yield
    finally:
        backbone.set_attn_implementation(own)
