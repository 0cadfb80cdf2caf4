"""Sampling texts with the models of Hugging Face, the reference."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from xdr.encoders.texts import Texts, pad
from xdr.generators.backends import Drawn
from xdr.generators.drawing import draw
from xdr.generators.language_vocabulary import restricted, tokens_of, with_first_token
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import Sampling
from xdr.generators.shared_prompts import Prompts, prompts_cache, reading_shared_prompts

ENDED_SHARE = 1 / 8
"""Of a batch's texts, after which those that have ended leave it."""


class _Encoded(NamedTuple):
    hidden_BSD: Tensor
    mask_BS: Tensor


class _Writer(NamedTuple):
    """A model, which pieces its output numbers stand for (None: themselves), and the output numbers that it must not write."""

    model: Any
    tokens_K: Tensor | None
    unwritten: list[int]


class HuggingFaceBackend:
    def __init__(self, generator: QueryGenerator, tokenizer: GeneratorTokenizer, sampling: Sampling) -> None:
        self._model, self._tokenizer, self._sampling = generator.model, tokenizer, sampling
        self._restricted: dict[str, _Writer] = {}

    def begin(self, seed: int) -> None:
        torch.manual_seed(seed)

    @torch.inference_mode()
    def encode(self, sources: Texts) -> _Encoded:
        device = self._model.device
        ids_BS, mask_BS = pad(Texts(*(part.to(device) for part in sources)), self._model.config.pad_token_id)
        mask_BS = mask_BS.long()
        return _Encoded(self._model.encoder(input_ids=ids_BS, attention_mask=mask_BS).last_hidden_state, mask_BS)

    @torch.inference_mode()
    def decode(self, encoded: _Encoded, rows: Tensor, languages: Sequence[str], number: int) -> list[list[Drawn]]:
        writer = self._writer_for(languages)
        starts_B1 = torch.full((len(rows), 1), writer.model.config.decoder_start_token_id)
        first_B = self._tokenizer.first_tokens(languages)
        if first_B is not None:
            known_B = first_B if writer.tokens_K is None else torch.searchsorted(writer.tokens_K, first_B)
            starts_B1 = torch.cat([starts_B1, known_B[:, None]], 1)
        given_NG = starts_B1.to(encoded.mask_BS.device).repeat_interleave(number, 0)
        output_NL = self._written(writer, encoded, rows.to(given_NG.device).repeat_interleave(number), given_NG)
        special = {writer.model.config.pad_token_id, writer.model.config.eos_token_id}
        ended_N = (output_NL == writer.model.config.eos_token_id).any(1).tolist()
        flat = [
            Drawn([_whole(piece, writer.tokens_K) for piece in ids if piece not in special], ended)
            for ids, ended in zip(output_NL.tolist(), ended_N, strict=True)
        ]
        return [flat[first : first + number] for first in range(0, len(flat), number)]

    def _written(self, writer: _Writer, encoded: _Encoded, prompt_N: Tensor, given_NG: Tensor) -> Tensor:
        """Piece by piece. Texts that have ended leave the batch; `generate` would compute them until the last one ends."""
        config, num_given = writer.model.config, given_NG.shape[1]
        output_NL = given_NG.new_full((len(given_NG), self._sampling.output_length), config.pad_token_id)
        row_N, next_N = torch.arange(len(given_NG), device=given_NG.device), given_NG[:, 0]
        ended_N = torch.zeros_like(row_N, dtype=torch.bool)
        cache, prompts = prompts_cache(writer.model, encoded.hidden_BSD), Prompts.of(prompt_N, encoded.mask_BS)
        with reading_shared_prompts(writer.model):
            for place in range(1, num_given + self._sampling.output_length):
                logits_NV = writer.model(
                    encoder_outputs=BaseModelOutput(last_hidden_state=encoded.hidden_BSD),
                    decoder_input_ids=next_N[:, None],
                    past_key_values=cache,
                    use_cache=True,
                    prompts=prompts,
                ).logits[:, 0]
                if place < num_given:
                    next_N = given_NG[:, place]
                    continue
                logits_NV[:, writer.unwritten] = -torch.inf
                next_N = draw(logits_NV, self._sampling).masked_fill(ended_N, config.pad_token_id)
                output_NL[row_N, place - num_given] = next_N
                ended_N |= next_N == config.eos_token_id
                num_ended = int(ended_N.sum())
                if num_ended == len(ended_N):
                    break
                if num_ended > ENDED_SHARE * len(ended_N):
                    going_on = (~ended_N).nonzero()[:, 0]
                    cache.self_attention_cache.batch_select_indices(going_on)
                    prompt_N, row_N, next_N, ended_N = (part[going_on] for part in (prompt_N, row_N, next_N, ended_N))
                    prompts = Prompts.of(prompt_N, encoded.mask_BS)
        return output_NL

    @property
    def one_language(self) -> bool:
        return self._sampling.vocabulary == "language"

    def _writer_for(self, languages: Sequence[str]) -> _Writer:
        if not self.one_language:
            return _Writer(self._model, None, [])
        (language,) = set(languages)
        if language not in self._restricted:
            allowed = tokens_of(self._tokenizer.huggingface, language, latin=self._sampling.latin)
            tokens_K, unwritten = with_first_token(allowed, self._tokenizer.first_tokens([language]))
            places = [int((tokens_K == piece).nonzero()) for piece in unwritten]
            self._restricted[language] = _Writer(restricted(self._model, tokens_K), tokens_K, places)
        return self._restricted[language]


def _whole(piece: int, tokens_K: Tensor | None) -> int:
    return piece if tokens_K is None else int(tokens_K[piece])
