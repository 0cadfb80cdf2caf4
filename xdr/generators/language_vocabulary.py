"""A generator that can write in one language only: its output matrix has the rows of that language's tokens.

mT5 spends more than half of a decoding step on 250,000 rows, most of them in other scripts.

Shape suffixes: K tokens of the language, D dimensions of the model.
"""

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from xdr.text.languages import find_language
from xdr.text.scripts import count_scripts


def tokens_of(tokenizer: Any, language: str, *, latin: bool) -> Tensor:
    """Ids, ascending, of the tokens that a text in the language may contain: tokens in its scripts, digits, punctuation, the
    padding and the end token; with `latin` also tokens in Latin letters, for names. The unknown token and single bytes are left
    out."""
    scripts = {*find_language(language).scripts, *(("LATIN",) if latin else ())}
    special = {tokenizer.pad_token_id, tokenizer.eos_token_id}
    return torch.tensor(
        [
            token
            for token, token_scripts in enumerate(_scripts_by_token(tokenizer))
            if token in special or (token_scripts is not None and token_scripts <= scripts)
        ]
    )


@cache
def _scripts_by_token(tokenizer: Any) -> list[frozenset[str] | None]:
    """None for tokens that are not text."""
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    return [
        None if token in special or (name.startswith("<") and name.endswith(">")) else frozenset(count_scripts(name))
        for token, name in enumerate(names)
    ]


def with_first_token(tokens_K: Tensor, first: Tensor | None) -> tuple[Tensor, list[int]]:
    """Adds the decoder's first token, which may be in another script. Returns the tokens, and those that must not be drawn."""
    if first is None or bool((tokens_K == first).any()):
        return tokens_K, []
    return torch.cat([tokens_K, first]).sort().values, first.tolist()


def restricted(model: Any, tokens_K: Tensor) -> Any:
    """The same model, with shared weights and K output tokens, numbered from zero in the order of `tokens_K`. Its probabilities
    are those of the whole model, given that the token is one of these."""
    small = _shallow_copy(model)
    small.config = copy.deepcopy(model.config)
    small.config.vocab_size = len(tokens_K)
    for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        setattr(small.config, name, int((tokens_K == getattr(model.config, name)).nonzero().item()))
    small.decoder = _shallow_copy(model.decoder)
    tokens_K = tokens_K.to(model.lm_head.weight.device)
    embeddings_KD = model.decoder.embed_tokens.weight.detach()[tokens_K]
    small.decoder.embed_tokens = nn.Embedding(len(tokens_K), model.config.d_model, _weight=embeddings_KD)
    small.lm_head = nn.Linear(model.config.d_model, len(tokens_K), bias=False, device="meta")
    small.lm_head.weight = nn.Parameter(model.lm_head.weight.detach()[tokens_K], requires_grad=False)
    return small


def _shallow_copy(module: Any) -> Any:
    """A module with the same parts, which can be replaced without changing the original."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other
