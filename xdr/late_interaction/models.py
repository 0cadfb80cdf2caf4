"""Late-interaction models that can be trained, as settings. Importing this module does not import torch: `build` does."""

import string
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xdr.encoders.input_format import Batching, EncoderOptions
from xdr.errors import UserError

if TYPE_CHECKING:
    from xdr.encoders.tokenization import TextTokenizer
    from xdr.late_interaction.token_encoder import TokenChoice, TokenEncoder


@dataclass(frozen=True)
class Colbert:
    """A backbone and a linear layer (ColBERT). `path` is a backbone in Hugging Face's layout, a bi-encoder in
    sentence-transformers', whose transformer is taken, or a late-interaction encoder, which is trained on; or the output folder
    of their training.

    None leaves a setting to the files of a late-interaction encoder. A new one has 128 dimensions, expands queries, does not
    attend to the expansion, and skips punctuation."""

    path: str
    dimension: int | None
    query_expansion: bool | None
    attend_to_expansion: bool | None
    skip_punctuation: bool | None
    batching: Batching | None
    dropout: float | None
    query_length: int | None
    passage_length: int | None
    query_prefix: str | None
    passage_prefix: str | None

    def __post_init__(self) -> None:
        EncoderOptions.of(self)
        if self.dimension is not None and self.dimension < 1:
            raise UserError(f"dimension must be at least 1, got {self.dimension}")
        if not 0 <= (self.dropout or 0.0) < 1:
            raise UserError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if self.attend_to_expansion and self.query_expansion is False:
            raise UserError("attend_to_expansion must be false or null without query_expansion, got true")

    def build(self, initial_folder: Path, seed: int) -> "tuple[TokenEncoder, TextTokenizer]":
        """The linear layer of a new model is drawn from `seed`; `initial_folder` is not used."""
        from xdr.encoders.hub import sentence_transformers_folder
        from xdr.encoders.transformer_encoder import set_dropout
        from xdr.late_interaction.token_encoder import TokenEncoder
        from xdr.late_interaction.token_encoder_folder import is_token_encoder_folder, load_token_encoder, source_of

        source = source_of(self.path)
        folder = sentence_transformers_folder(source)
        if folder is not None and is_token_encoder_folder(folder):
            own, tokenizer = load_token_encoder(folder, EncoderOptions.of(self), weights=source, batching=self.batching)
        else:
            own, tokenizer = self._new(source, folder is None, seed)
        if self.dimension not in (None, own.dimension):
            raise UserError(f"dimension must be {own.dimension}, as {self.path} says, got {self.dimension}")
        if self.dropout is not None:
            set_dropout(own.backbone, self.dropout)
        return TokenEncoder(own.backbone, list(own.layers), own.batching, self._chosen(own.tokens, tokenizer)), tokenizer

    def _new(self, source: str, plain: bool, seed: int) -> "tuple[TokenEncoder, TextTokenizer]":
        """Of a `plain` backbone, or of the transformer of a bi-encoder."""
        import torch
        from torch import nn

        from xdr.encoders.open_encoder import open_model
        from xdr.encoders.transformer_encoder import TransformerEncoder
        from xdr.encoders.vector_layers import Dense
        from xdr.late_interaction.token_encoder import TokenChoice, TokenEncoder

        options = replace(EncoderOptions.of(self), pooling="mean" if plain else None)  # which is not used
        opened, tokenizer = open_model(source, options, batching=self.batching)
        if not isinstance(opened, TransformerEncoder):
            raise UserError(f"path must be a transformer, got static vectors in {self.path}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layer = Dense(opened.backbone.config.hidden_size, self.dimension or 128, bias=False, activation=nn.Identity())
        as_published = TokenChoice(query_tokens=tokenizer.input_format.query_length, skipped_words=tuple(string.punctuation))
        return TokenEncoder(opened.backbone, [layer], opened.batching, as_published), tokenizer

    def _chosen(self, own: "TokenChoice", tokenizer: "TextTokenizer") -> "TokenChoice":
        from xdr.late_interaction.token_encoder_folder import choose_tokens

        length = tokenizer.input_format.query_length
        expanded = own.query_tokens if self.query_length is None and own.query_tokens else length
        skipped = own.skipped_words if self.skip_punctuation in (None, bool(own.skipped_words)) else tuple(string.punctuation)
        return choose_tokens(
            tokenizer,
            expanded if _first_given(self.query_expansion, bool(own.query_tokens)) else 0,
            _first_given(self.attend_to_expansion, own.attend),
            () if self.skip_punctuation is False else skipped,
            own.expansion_token,
        )


def _first_given(asked: bool | None, own: bool) -> bool:
    return own if asked is None else asked
