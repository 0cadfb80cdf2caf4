"""Sampling texts with transformers.

This loop in place of `generate` is two to four times as fast with mT5's 250,000 tokens (docs/log.md): `generate` goes
through all of them for each token it draws, and computes a text that has ended until the last text of its batch ends.

Shape suffixes: P prompts, S tokens of a prompt, N texts, G given tokens, L tokens of a text, V tokens of the vocabulary, K of
them that can be drawn, D dimensions.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from xdr.encoders.texts import Texts, pad
from xdr.generators.causal_generator import CausalGenerator
from xdr.generators.generator import Generator
from xdr.generators.language_vocabulary import restricted, tokens_of, with_first_token
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import GenerationSettings, Sampling
from xdr.writing.causal_writer import CausalWriter
from xdr.writing.sequence_to_sequence import Drawn, SequenceToSequence

ENDED_SHARE = 1 / 8
"""Texts that have ended leave the batch when they are more than this share of it: removing them copies the others' cache."""


class _Encoded(NamedTuple):
    hidden_PSD: Tensor
    mask_PS: Tensor


class _Writer(NamedTuple):
    """A model, the ids of its output tokens (None: its own numbers), and the output tokens that must not be drawn."""

    model: Any
    tokens_K: Tensor | None
    forbidden: list[int]


def open_in_process(model: Any, tokenizer: Any, sampling: Sampling, settings: GenerationSettings) -> Generator:
    """The generator of a model in this process, which samples with transformers."""
    if isinstance(model, CausalGenerator):
        return CausalWriter(model, tokenizer, sampling, settings)
    return SequenceToSequence(tokenizer, HuggingFaceBackend(model, tokenizer, sampling), settings)


class HuggingFaceBackend:
    def __init__(self, generator: QueryGenerator, tokenizer: GeneratorTokenizer, sampling: Sampling) -> None:
        self._model, self._tokenizer, self._sampling = generator.model, tokenizer, sampling
        self._restricted: dict[str, _Writer] = {}

    def begin(self, seed: int) -> None:
        torch.manual_seed(seed)

    @torch.inference_mode()
    def encode(self, sources: Texts) -> _Encoded:
        device = self._model.device
        ids_PS, mask_PS = pad(Texts(*(part.to(device) for part in sources)), self._model.config.pad_token_id)
        mask_PS = mask_PS.long()
        return _Encoded(self._model.encoder(input_ids=ids_PS, attention_mask=mask_PS).last_hidden_state, mask_PS)

    @torch.inference_mode()
    def decode(
        self, encoded: _Encoded, rows: Tensor, languages: Sequence[str], number: int, output_length: int | None = None
    ) -> list[list[Drawn]]:
        writer = self._writer_for(languages)
        rows_N = rows.to(encoded.mask_PS.device).repeat_interleave(number)
        first_N = self._tokenizer.first_tokens(languages)
        if first_N is not None:
            first_N = first_N if writer.tokens_K is None else torch.searchsorted(writer.tokens_K, first_N)
            first_N = first_N.to(rows_N.device).repeat_interleave(number)
        output_NL = self._sample(writer, encoded, rows_N, first_N, output_length or self._sampling.output_length).cpu()
        config = writer.model.config
        ended_N = (output_NL == config.eos_token_id).any(1).tolist()
        text_NL = (output_NL != config.eos_token_id) & (output_NL != config.pad_token_id)
        tokens_NL = output_NL if writer.tokens_K is None else writer.tokens_K[output_NL]
        drawn = [Drawn(ids[kept].tolist(), end) for ids, kept, end in zip(tokens_NL, text_NL, ended_N, strict=True)]
        return [drawn[start : start + number] for start in range(0, len(drawn), number)]

    def _sample(self, writer: _Writer, encoded: _Encoded, rows_N: Tensor, first_N: Tensor | None, output_length: int) -> Tensor:
        """Samples a text for each of `rows_N`. The start token is decoded once for each prompt."""
        model, config = writer.model, writer.model.config
        cache, hidden_NSD, mask_NS = EncoderDecoderCache(DynamicCache(), DynamicCache()), encoded.hidden_PSD, encoded.mask_PS

        def logits_after(tokens_N: Tensor) -> Tensor:
            output = model(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden_NSD),
                attention_mask=mask_NS,
                decoder_input_ids=tokens_N[:, None],
                past_key_values=cache,
                use_cache=True,
            )
            logits_NV: Tensor = output.logits[:, 0]
            logits_NV[:, writer.forbidden] = -torch.inf
            return logits_NV

        logits_PV = logits_after(rows_N.new_full((len(mask_NS),), config.decoder_start_token_id))
        cache.batch_select_indices(rows_N)
        mask_NS = mask_NS[rows_N]
        hidden_NSD = hidden_NSD[:1].expand(len(rows_N), -1, -1)  # only its shape is read, now that the cache is filled
        logits_NV = logits_PV[rows_N] if first_N is None else logits_after(first_N)
        output_NL = rows_N.new_full((len(rows_N), output_length), config.pad_token_id)
        text_N = torch.arange(len(rows_N), device=rows_N.device)
        going_on_N = torch.ones_like(text_N, dtype=torch.bool)
        for place in range(output_length):
            next_N = draw(logits_NV, self._sampling).masked_fill(~going_on_N, config.pad_token_id)
            output_NL[text_N, place] = next_N
            going_on_N &= next_N != config.eos_token_id
            if not going_on_N.any() or place + 1 == output_length:
                break
            if going_on_N.sum() < (1 - ENDED_SHARE) * len(going_on_N):
                cache.batch_select_indices(going_on_N.nonzero()[:, 0])
                text_N, next_N, mask_NS, going_on_N = (part[going_on_N] for part in (text_N, next_N, mask_NS, going_on_N))
                hidden_NSD = hidden_NSD[: len(text_N)]
            logits_NV = logits_after(next_N)
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
            tokens_K, forbidden = with_first_token(allowed, self._tokenizer.first_tokens([language]))
            places = [int((tokens_K == token).nonzero()) for token in forbidden]
            self._restricted[language] = _Writer(restricted(self._model, tokens_K), tokens_K, places)
        return self._restricted[language]


def candidates(logits_NV: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The K tokens of each row that can be drawn, the most probable first, and their probabilities."""
    num_kept = min(sampling.top_k or logits_NV.shape[1], logits_NV.shape[1])
    logits_NK, tokens_NK = (logits_NV.float() / sampling.temperature).topk(num_kept)
    probabilities_NK = logits_NK.softmax(1)
    if sampling.top_p < 1:
        before_NK = probabilities_NK.cumsum(1) - probabilities_NK
        probabilities_NK = probabilities_NK.masked_fill(before_NK >= sampling.top_p, 0)
        probabilities_NK = probabilities_NK / probabilities_NK.sum(1, keepdim=True)
    return tokens_NK, probabilities_NK


def draw(logits_NV: Tensor, sampling: Sampling) -> Tensor:
    """One token for each row."""
    tokens_NK, probabilities_NK = candidates(logits_NV, sampling)
    return tokens_NK.gather(1, torch.multinomial(probabilities_NK, 1))[:, 0]
