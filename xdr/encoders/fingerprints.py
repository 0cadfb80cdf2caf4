"""Fingerprints of models: digests of everything that their outputs depend on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer

_NOT_IN_OUTPUTS = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
"""Fields of a configuration that change no output; the weights are read in the dtype that is asked for."""


def fingerprint_encoder(queries: nn.Module, passages: nn.Module | None, tokenizer: TextTokenizer) -> str:
    """A digest of everything the vectors depend on: weights, the backbone's configuration, pooling, layers, truncation,
    normalization, vocabulary, lengths and prefixes."""
    digest = hashlib.sha256()
    for tower in (queries, passages):
        if tower is None:
            continue
        digest.update(f"{type(tower).__name__} {getattr(tower, 'pooling', '')} {tower.normalize}".encode())
        if backbone := getattr(tower, "backbone", None):
            parts = [describe_config(backbone.config), [str(layer) for layer in tower.layers]]  # type: ignore[union-attr]
            digest.update(_as_text([*parts, getattr(tower, "truncate_dim", None)]))
        _update_with_weights(digest, tower)
    digest.update(_as_text(_describe_texts(tokenizer)))
    digest.update(_as_text(asdict(tokenizer.input_format)))
    return digest.hexdigest()[:32]


def fingerprint_model(model: nn.Module, config: Any, tokenizer: Any, described: Sequence[Any]) -> str:
    """A digest of weights, of the configuration and a tokenizer of transformers, and of what else the outputs depend on."""
    digest = hashlib.sha256()
    _update_with_weights(digest, model)
    digest.update(_as_text([describe_config(config), _describe_tokenizer(tokenizer), *described]))
    return digest.hexdigest()[:32]


def describe_config(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name not in _NOT_IN_OUTPUTS}


def fingerprint_tokenizer(tokenizer: Any) -> str:
    """A digest of the tokenizer of an encoder or a generator: what tokens it makes of a text."""
    inner = getattr(tokenizer, "huggingface", None)
    described = _describe_texts(tokenizer) if inner is None else _describe_tokenizer(inner)
    return hashlib.sha256(_as_text(described)).hexdigest()[:32]


def _describe_texts(tokenizer: TextTokenizer) -> dict[str, Any]:
    inner = tokenizer.tokenize.tokenizer  # type: ignore[attr-defined]  # both kinds have one
    return _describe_tokenizer(inner) if isinstance(tokenizer.tokenize, HuggingFaceTokenizer) else _describe_vocabulary(inner)


def _describe_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Of transformers. Which end of a long text is cut stands beside the vocabulary."""
    end = None if tokenizer.truncation_side == "right" else tokenizer.truncation_side
    return _describe_vocabulary(tokenizer.backend_tokenizer) | {"truncation": end}


def _describe_vocabulary(vocabulary: Any) -> dict[str, Any]:
    """Without what the last call has set."""
    return dict(json.loads(vocabulary.to_str())) | {"truncation": None, "padding": None}


def _update_with_weights(digest: "hashlib._Hash", model: nn.Module) -> None:
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)


def _as_text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()
