"""A causal language model as a `Generator`, with `generate` of transformers. A server with an engine is several times faster
(`augmentation/generation/backend=openai`)."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from xdr.errors import UserError
from xdr.generators.causal_generator import CausalGenerator, CausalTokenizer
from xdr.generators.generator import Reply, Request, Written
from xdr.generators.settings import GenerationSettings, Sampling

_LINE_BREAKS = ("\n", "Ċ", "<0x0A>")
"""How tokenizers may spell a line break within a token."""


class CausalWriter:
    """Texts are one line: they end with the end token or with a line break. A batch holds `settings.tokens_per_batch` tokens,
    where each text has a prompt of its own."""

    def __init__(
        self, generator: CausalGenerator, tokenizer: CausalTokenizer, sampling: Sampling, settings: GenerationSettings
    ) -> None:
        if sampling.vocabulary != "full":
            raise UserError(f"vocabulary must be full for a causal language model, got {sampling.vocabulary}")
        self._model, self._tokenizer = generator.language_model, tokenizer
        self._sampling, self._settings = sampling, settings

    def begin(self, seed: int) -> None:
        torch.manual_seed(seed)

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(languages)]

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """The largest batch comes first, so that a lack of memory shows at the start."""
        prompts = [self._tokenizer.prompt_ids(request, self._settings.input_length) for request in requests]
        ordered = sorted(range(len(requests)), key=lambda place: -len(prompts[place][0]))
        while ordered:
            number = max(requests[place].number for place in ordered)
            length = requests[0].template.output_length or self._sampling.output_length
            size = max(1, self._settings.tokens_per_batch // (number * (len(prompts[ordered[0]][0]) + length)))
            batch, ordered = ordered[:size], ordered[size:]
            texts = self._draw([prompts[place][0] for place in batch], number, length)
            for row, place in enumerate(batch):
                ids, truncated = prompts[place]
                yield place, Reply(texts[row * number : (row + 1) * number], len(ids), truncated)

    @torch.inference_mode()
    def _draw(self, prompts: Sequence[list[int]], number: int, output_length: int) -> list[Written]:
        """`number` texts of each prompt, one after another."""
        longest, sampling = max(map(len, prompts)), self._sampling
        pad_id = self._tokenizer.huggingface.pad_token_id
        ids_BL = torch.tensor([[pad_id] * (longest - len(ids)) + ids for ids in prompts], device=self._model.device)
        mask_BL = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=self._model.device)
        settings = GenerationConfig(
            do_sample=True,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            temperature=sampling.temperature,
            num_return_sequences=number,
            max_new_tokens=output_length,
            eos_token_id=self._ends,
            pad_token_id=pad_id,
        )
        output_NL: Tensor = self._model.generate(ids_BL, attention_mask=mask_BL, generation_config=settings)
        return [self._written(ids) for ids in output_NL[:, longest:].tolist()]

    def _written(self, ids: list[int]) -> Written:
        end = next((place for place, token in enumerate(ids) if token in self._ends), None)
        text = self._tokenizer.huggingface.decode(ids if end is None else ids[: end + 1], skip_special_tokens=True)
        return Written(text.split("\n")[0].strip(), len(ids) if end is None else end, end is not None)

    @cached_property
    def _ends(self) -> list[int]:
        """The end tokens, and all tokens with a line break."""
        tokenizer, own = self._tokenizer.huggingface, self._model.generation_config.eos_token_id
        names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        candidates = [token for token, name in enumerate(names) if any(spelling in name for spelling in _LINE_BREAKS)]
        breaks = [token for token in candidates if "\n" in tokenizer.decode([token])]
        ends: list[Any] = own if isinstance(own, list) else [own]
        return sorted({*breaks, tokenizer.eos_token_id, *(token for token in ends if token is not None)})
