"""Tokenizes queries and passages, with their prefixes and lengths."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tokenizers import Tokenizer, models, normalizers

from xdr.encoders.input_format import InputFormat
from xdr.encoders.texts import Texts, texts_of
from xdr.errors import UserError
from xdr.text.prompts import passage_text
from xdr.text.records import Passage


class TokenizeTexts(Protocol):
    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]: ...


@dataclass(frozen=True, slots=True)
class HuggingFaceTokenizer:
    """Adds the special tokens of the model."""

    tokenizer: Any

    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        if not texts:
            return []  # transformers fails
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


def ends_texts(tokenizer: Any) -> bool:
    """Whether this Hugging Face tokenizer appends its end token (EOS) to a text."""
    return tokenizer.eos_token_id is not None and tokenizer("a").input_ids[-1] == tokenizer.eos_token_id


def append_end_token(tokenizer: Any) -> None:
    """From now on the tokenizer appends its end token, also to texts that are cut, and also when it is saved and loaded."""
    if ends_texts(tokenizer):
        return
    end, backend = tokenizer.eos_token, tokenizer.backend_tokenizer
    if end is None:
        raise UserError("end_token must be false or null for a tokenizer without an end token (EOS), got true")
    own = backend.post_processor
    parts = [] if own is None else [json.loads(own.__getstate__())]
    parts = parts[0]["processors"] if parts and parts[0]["type"] == "Sequence" else parts
    if not parts or parts[-1]["type"] != "TemplateProcessing":
        parts = [*parts, {"type": "TemplateProcessing", "single": [_A], "pair": [_A, _B], "special_tokens": {}}]
    parts[-1]["single"].append({"SpecialToken": {"id": end, "type_id": 0}})
    parts[-1]["special_tokens"][end] = {"id": end, "ids": [tokenizer.eos_token_id], "tokens": [end]}
    description = json.loads(Tokenizer(models.BPE()).to_str())  # a post-processor cannot be made from JSON on its own
    description["post_processor"] = {"type": "Sequence", "processors": parts} if len(parts) > 1 else parts[0]
    backend.post_processor = Tokenizer.from_str(json.dumps(description)).post_processor


_A, _B = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))


def lowercase(tokenizer: Any) -> None:
    """As sentence-transformers does with `do_lower_case`: before all else."""
    backend = tokenizer.backend_tokenizer
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
