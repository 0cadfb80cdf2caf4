"""Tokenizes queries and passages, with their prefixes and lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tokenizers import Tokenizer

from xdr.encoders.input_format import InputFormat
from xdr.encoders.texts import Texts, texts_of
from xdr.text.prompts import passage_text
from xdr.text.records import Passage


class TokenizeTexts(Protocol):
    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]: ...


@dataclass(frozen=True, slots=True)
class HuggingFaceTokenizer:
    """Adds the special tokens of the model."""

    tokenizer: Any

    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=longest, return_attention_mask=False, return_token_type_ids=False
        )
        ids: list[list[int]] = encoded.input_ids
        return ids


@dataclass(frozen=True, slots=True)
class StaticTokenizer:
    """For static encoders: adds no special tokens."""

    tokenizer: Tokenizer

    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        return [encoding.ids[:longest] for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]


@dataclass(frozen=True, slots=True)
class TextTokenizer:
    """Texts to tokens in an input format. The same object serves training, validation, encoding and saving."""

    tokenize: TokenizeTexts
    input_format: InputFormat

    def queries(self, texts: Sequence[str]) -> Texts:
        prefixed = [self.input_format.query_prefix + text for text in texts]
        return texts_of(self.tokenize(prefixed, self.input_format.query_length))

    def passages(self, passages: Sequence[Passage]) -> Texts:
        prefixed = [self.input_format.passage_prefix + passage_text(passage) for passage in passages]
        return texts_of(self.tokenize(prefixed, self.input_format.passage_length))
