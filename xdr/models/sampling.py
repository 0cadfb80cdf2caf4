"""Sampling texts with Hugging Face's `generate`, the reference."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from xdr.errors import UserError
from xdr.models.language_vocabulary import pieces_of, restricted, with_first_piece
from xdr.models.query_generator import GeneratorReader, QueryGenerator
from xdr.models.texts import Texts, pad

VOCABULARIES = ("full", "language")


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

    def decode(self, encoded: Any, rows: Tensor, language: str, number: int) -> list[list[Drawn]]:
        """`number` texts for each of these rows of what was encoded."""
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
    def decode(self, encoded: _Encoded, rows: Tensor, language: str, number: int) -> list[list[Drawn]]:
        writer = self._model_for(language)
        model, pieces_K, _ = writer
        start = [model.config.decoder_start_token_id]
        first = self._reader.first_pieces([language])
        if first is not None:
            start.append(int((pieces_K == first).nonzero().item()) if pieces_K is not None else int(first))
        rows = rows.to(model.device)
        output_NL = model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.hidden_BSD[rows]),
            attention_mask=encoded.mask_BS[rows],
            decoder_input_ids=torch.tensor(start, device=model.device).expand(len(rows), -1),
            generation_config=self._settings(writer, number),
        )[:, len(start) :]
        ended_N = (output_NL == model.config.eos_token_id).any(1).tolist()
        special = {model.config.pad_token_id, model.config.eos_token_id}
        flat = [
            Drawn([_whole(piece, pieces_K) for piece in ids if piece not in special], ended)
            for ids, ended in zip(output_NL.tolist(), ended_N, strict=True)
        ]
        return [flat[start : start + number] for start in range(0, len(flat), number)]

    def _model_for(self, language: str) -> _Writer:
        if self._sampling.vocabulary == "full":
            return _Writer(self._model, None, [])
        if language not in self._restricted:
            allowed = pieces_of(self._reader.tokenizer, language, latin=self._sampling.latin)
            pieces_K, unwritten = with_first_piece(allowed, self._reader.first_pieces([language]))
            places = [int((pieces_K == piece).nonzero()) for piece in unwritten]
            self._restricted[language] = _Writer(restricted(self._model, pieces_K), pieces_K, places)
        return self._restricted[language]

    def _settings(self, writer: _Writer, number: int) -> GenerationConfig:
        config = writer.model.config
        return GenerationConfig(
            do_sample=True,
            top_k=self._sampling.top_k,
            top_p=self._sampling.top_p,
            temperature=self._sampling.temperature,
            num_return_sequences=number,
            max_new_tokens=self._sampling.output_length,
            suppress_tokens=writer.unwritten or None,
            pad_token_id=config.pad_token_id,
            eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )


def _whole(piece: int, pieces_K: Tensor | None) -> int:
    return piece if pieces_K is None else int(pieces_K[piece])
