"""Sampling texts with Hugging Face's `generate`, the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from xdr.errors import UserError
from xdr.models.language_vocabulary import pieces_of, restricted, with_first_piece
from xdr.models.query_generator import GeneratorReader, QueryGenerator
from xdr.models.texts import Texts, pad

VOCABULARIES = ("full", "language")
STAGE = 8
"""Pieces after which texts that have ended leave a batch: of 4 and 8 neither was faster."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a piece is drawn: among the `top_k` most probable (0: all), of those the fewest that hold `top_p` together, from
    probabilities sharpened by a `temperature` below one. `vocabulary` is `full`, or `language`: only pieces that a text in the
    wanted language may hold, with those in Latin letters if `latin`."""

    top_k: int
    top_p: float
    temperature: float
    output_length: int
    vocabulary: str = "full"
    latin: bool = True

    def __post_init__(self) -> None:
        if self.top_k < 0 or not 0 < self.top_p <= 1 or self.temperature <= 0 or self.output_length < 1:
            raise UserError(
                "top_k is 0 or more, top_p in (0, 1], temperature above 0 and output_length at least 1; there came "
                f"{self.top_k}, {self.top_p}, {self.temperature} and {self.output_length}"
            )
        if self.vocabulary not in VOCABULARIES:
            raise UserError(f"vocabulary is one of {', '.join(VOCABULARIES)}, and '{self.vocabulary}' came")


class Drawn(NamedTuple):
    """Pieces of a text, without the end, and whether it came to one."""

    ids: list[int]
    ended: bool


class Backend(Protocol):
    """Prompts are encoded once, however many texts and languages are drawn for them. What is drawn is a function of the seed
    and of the calls since `begin`."""

    def begin(self, seed: int) -> None: ...

    def encode(self, sources: Texts) -> Any: ...

    @property
    def one_language(self) -> bool:
        """Whether a call of `decode` takes one language alone."""
        ...

    def decode(self, encoded: Any, rows: Tensor, languages: Sequence[str], number: int) -> list[list[Drawn]]:
        """`number` texts for each of these rows of what was encoded, in the language that stands beside it."""
        ...


class _Encoded(NamedTuple):
    hidden_BSD: Tensor
    mask_BS: Tensor


class _Writer(NamedTuple):
    """A model, which pieces its output numbers stand for (None: themselves), and the output numbers that it must not write."""

    model: Any
    pieces_K: Tensor | None
    unwritten: list[int]


class HuggingFaceBackend:
    def __init__(self, generator: QueryGenerator, reader: GeneratorReader, sampling: Sampling) -> None:
        self._model, self._reader, self._sampling = generator.model, reader, sampling
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
        first_B = self._reader.first_pieces(languages)
        if first_B is not None:
            known_B = first_B if writer.pieces_K is None else torch.searchsorted(writer.pieces_K, first_B)
            starts_B1 = torch.cat([starts_B1, known_B[:, None]], 1)
        rows, starts_B1 = rows.to(writer.model.device), starts_B1.to(writer.model.device)
        output_NL = self._written(writer, _Encoded(encoded.hidden_BSD[rows], encoded.mask_BS[rows]), starts_B1, number)
        special = {writer.model.config.pad_token_id, writer.model.config.eos_token_id}
        ended_N = (output_NL == writer.model.config.eos_token_id).any(1).tolist()
        flat = [
            Drawn([_whole(piece, writer.pieces_K) for piece in ids if piece not in special], ended)
            for ids, ended in zip(output_NL.tolist(), ended_N, strict=True)
        ]
        return [flat[first : first + number] for first in range(0, len(flat), number)]

    def _written(self, writer: _Writer, encoded: _Encoded, ids_NL: Tensor, number: int) -> Tensor:
        """In stages of a few pieces, after each of which the texts that have ended leave the batch: `generate` alone would go
        on computing them until the last one ends."""
        config, longest = writer.model.config, self._sampling.output_length
        device, given = writer.model.device, ids_NL.shape[1]
        cache = self._prompts_cache(writer.model, encoded, ids_NL)
        cache.batch_repeat_interleave(number)
        hidden_NSD, mask_NS, ids_NL = (part.repeat_interleave(number, 0) for part in (*encoded, ids_NL))
        rows_N = torch.arange(len(ids_NL), device=device)
        output_NL = torch.full((len(ids_NL), longest), config.pad_token_id, device=device)
        for done in range(0, longest, STAGE):
            result = writer.model.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden_NSD),
                attention_mask=mask_NS,
                decoder_input_ids=ids_NL,
                decoder_attention_mask=torch.ones_like(ids_NL),  # else what the cache holds is computed again
                past_key_values=cache,
                generation_config=self._settings(writer, min(STAGE, longest - done)),
            )
            ids_NL, cache = result.sequences, result.past_key_values
            output_NL[rows_N, : ids_NL.shape[1] - given] = ids_NL[:, given:]
            going_on = (ids_NL[:, given:] != config.eos_token_id).all(1).nonzero()[:, 0]
            if not len(going_on):
                break
            if len(going_on) < len(ids_NL):
                cache.batch_select_indices(going_on)
                rows_N, ids_NL, hidden_NSD, mask_NS = (part[going_on] for part in (rows_N, ids_NL, hidden_NSD, mask_NS))
        return output_NL

    def _prompts_cache(self, model: Any, encoded: _Encoded, ids_BL: Tensor) -> EncoderDecoderCache:
        """What the decoder needs of each prompt, computed once and not for each of its texts: `generate` would repeat the
        prompts first."""
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.hidden_BSD),
            attention_mask=encoded.mask_BS,
            decoder_input_ids=ids_BL,
            past_key_values=cache,
            use_cache=True,
        )
        return EncoderDecoderCache(DynamicCache(), cache.cross_attention_cache)

    @property
    def one_language(self) -> bool:
        return self._sampling.vocabulary == "language"

    def _writer_for(self, languages: Sequence[str]) -> _Writer:
        if not self.one_language:
            return _Writer(self._model, None, [])
        (language,) = set(languages)
        if language not in self._restricted:
            allowed = pieces_of(self._reader.tokenizer, language, latin=self._sampling.latin)
            pieces_K, unwritten = with_first_piece(allowed, self._reader.first_pieces([language]))
            places = [int((pieces_K == piece).nonzero()) for piece in unwritten]
            self._restricted[language] = _Writer(restricted(self._model, pieces_K), pieces_K, places)
        return self._restricted[language]

    def _settings(self, writer: _Writer, num_pieces: int) -> GenerationConfig:
        config = writer.model.config
        return GenerationConfig(
            do_sample=True,
            top_k=self._sampling.top_k,
            top_p=self._sampling.top_p,
            temperature=self._sampling.temperature,
            max_new_tokens=num_pieces,
            return_dict_in_generate=True,
            suppress_tokens=writer.unwritten or None,
            pad_token_id=config.pad_token_id,
            eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )


def _whole(piece: int, pieces_K: Tensor | None) -> int:
    return piece if pieces_K is None else int(pieces_K[piece])
