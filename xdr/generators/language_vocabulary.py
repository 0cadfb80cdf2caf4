"""A generator that can write in one language alone: its output matrix has the rows of that language's pieces.

mT5 spends more than half of a decoding step on 250,000 rows, most of them in other scripts.
"""

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from xdr.text.languages import find_language
from xdr.text.scripts import count_scripts


def pieces_of(tokenizer: Any, language: str, *, latin: bool) -> Tensor:
    """Ids, ascending, of the pieces that a text in the language may hold: those whose letters are all of its scripts, digits
    and punctuation; `latin` adds the Latin ones, for names. Padding and the end are among them, unknown and single bytes are
    not."""
    scripts = {*find_language(language).scripts, *(("LATIN",) if latin else ())}
    wanted = {tokenizer.pad_token_id, tokenizer.eos_token_id}
    return torch.tensor(
        [
            number
            for number, its_scripts in enumerate(_scripts_by_piece(tokenizer))
            if number in wanted or (its_scripts is not None and its_scripts <= scripts)
        ]
    )


@cache
def _scripts_by_piece(tokenizer: Any) -> list[frozenset[str] | None]:
    """None for what is no text."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    return [
        None if number in special or (piece.startswith("<") and piece.endswith(">")) else frozenset(count_scripts(piece))
        for number, piece in enumerate(pieces)
    ]


def with_first_piece(pieces_K: Tensor, first: Tensor | None) -> tuple[Tensor, list[int]]:
    """The pieces and the one that the decoder is given first, which need not be of the language: those that it then must not
    write come second."""
    if first is None or bool((pieces_K == first).any()):
        return pieces_K, []
    return torch.cat([pieces_K, first]).sort().values, first.tolist()


def restricted(model: Any, pieces_K: Tensor) -> Any:
    """The same model (its weights are shared) with K output pieces, numbered from zero in the order of `pieces_K`. Its
    probabilities are the whole model's, given that the piece is one of these."""
    small = _shallow(model)
    small.config = copy.deepcopy(model.config)
    small.config.vocab_size = len(pieces_K)
    for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        setattr(small.config, name, int((pieces_K == getattr(model.config, name)).nonzero().item()))
    small.decoder = _shallow(model.decoder)
    pieces_K = pieces_K.to(model.lm_head.weight.device)
    embeddings_KD = model.decoder.embed_tokens.weight.detach()[pieces_K]
    small.decoder.embed_tokens = nn.Embedding(len(pieces_K), model.config.d_model, _weight=embeddings_KD)
    small.lm_head = nn.Linear(model.config.d_model, len(pieces_K), bias=False, device="meta")
    small.lm_head.weight = nn.Parameter(model.lm_head.weight.detach()[pieces_K], requires_grad=False)
    return small


def _shallow(module: Any) -> Any:
    """Another module with the same parts, of which some can be exchanged."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other
