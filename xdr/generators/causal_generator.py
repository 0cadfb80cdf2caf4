"""Causal language models as generators. Several texts about one source share one pass over it.

Shape suffixes: S sequences, L tokens of the longest, N labels, V tokens of the vocabulary, D dimensions, B texts.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from xdr.errors import UserError
from xdr.generators.generator import Request
from xdr.generators.packed_texts import PackedTexts, attention_masks, pack
from xdr.generators.query_generator import token_losses
from xdr.generators.settings import Task
from xdr.generators.sliced_losses import sliced_losses
from xdr.text.records import Passage


@dataclass(frozen=True, slots=True)
class CausalTokenizer:
    """Texts to tokens and back. A text is one line, and ends with the end token."""

    huggingface: Any
    task: Task
    language_tokens: Mapping[str, int] = field(default_factory=dict)

    def prompt_ids(self, request: Request, max_length: int) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether it was truncated: what it says after the source is kept."""
        ids: list[int] = self.huggingface(request.prompt).input_ids
        if ids[-1] == self.huggingface.eos_token_id:
            ids.pop()
        if len(ids) <= max_length:
            return ids, False
        tail = request.template.tail(request.source, request.language, request.summary)
        num_kept = len(self.huggingface(tail, add_special_tokens=False).input_ids)
        if num_kept >= max_length:
            raise UserError(
                f"input_length must be above {num_kept}, the tokens that the prompt has after its source, got {max_length}"
            )
        return [*ids[: max_length - num_kept], *ids[len(ids) - num_kept :]], True

    def target_ids(self, text: str, prompt: str) -> list[int]:
        """A text that is too long has no end token, so that the generator does not learn to end there."""
        blank = "" if prompt[-1:].isspace() else " "
        ids = self.huggingface(blank + " ".join(text.split()), add_special_tokens=False).input_ids
        return [*ids, self.huggingface.eos_token_id][: self.task.output_length]

    def training_inputs(self, sources: Sequence[Passage], languages: Sequence[str], texts: Sequence[str]) -> PackedTexts:
        """A sequence for each distinct source."""
        groups: dict[Passage, list[int]] = defaultdict(list)
        for row, source in enumerate(sources):
            groups[source].append(row)
        requests = [
            Request(self.task.template, source, language, 1) for source, language in zip(sources, languages, strict=True)
        ]
        prompts = [self.prompt_ids(request, self.task.input_length)[0] for request in requests]
        targets = [self.target_ids(text, request.prompt) for text, request in zip(texts, requests, strict=True)]
        return pack(prompts, targets, list(groups.values()), self.huggingface.pad_token_id)


class CausalGenerator(nn.Module):
    """`model` is a causal language model of transformers, with or without adapters of PEFT."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def losses(self, texts: PackedTexts, objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The objective's loss of each text, summed over its labels, and the number of its labels. The objective is called for
        slices of labels, as if each label were one text. Backward needs one weight for all losses."""

        def losses_of(hidden_ND: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
            return objective(self._logits(hidden_ND)[:, None], labels_N[:, None])

        parameters = [*self.language_model.get_output_embeddings().parameters()]
        if isinstance(objective, nn.Module):
            parameters += objective.parameters()
        losses_N, counts_N = sliced_losses(losses_of, self._hidden_states(texts), texts.labels_N, parameters)
        rows_N = torch.arange(len(texts.counts_B), device=losses_N.device).repeat_interleave(texts.counts_B)
        losses_B, counts_B = losses_N.new_zeros(len(texts.counts_B)), torch.zeros_like(texts.counts_B)
        return losses_B.index_add(0, rows_N, losses_N), counts_B.index_add(0, rows_N, counts_N)

    def _hidden_states(self, texts: PackedTexts) -> Tensor:
        """The last hidden state at the place of each label."""
        decoder = self.language_model.get_decoder()
        output = decoder(
            input_ids=texts.ids_SL,
            attention_mask=attention_masks(decoder.config, texts, self.language_model.dtype),
            position_ids=texts.positions_SL,
            use_cache=False,
        )
        hidden_ND: Tensor = output.last_hidden_state.flatten(0, 1)[texts.places_N]
        return hidden_ND

    def _logits(self, hidden_ND: Tensor) -> Tensor:
        logits_NV: Tensor = self.language_model.get_output_embeddings()(hidden_ND)
        cap = getattr(self.language_model.config, "final_logit_softcapping", None)
        return logits_NV if cap is None else torch.tanh(logits_NV / cap) * cap

    @property
    def language_model(self) -> Any:
        """The model of transformers, within which adapters stand."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model


@torch.no_grad()
def require_packable(generator: CausalGenerator, path: str) -> None:
    """Compares the losses of two packed texts with those of the model's own logits. They differ if the model does more to its
    logits than is known here, or attends in another way."""
    prompt, target = [5, 6, 7, 8], [9, 10, 11]
    prompts = [prompt, [*prompt[:2], 12]]
    packed = PackedTexts(*(part.to(generator.model.device) for part in pack(prompts, [target, target], [[0, 1]], 0)))
    ours_B, _ = generator.eval().losses(packed, token_losses)
    theirs_B = []
    for own in prompts:
        ids_1L = torch.tensor([[*own, *target]], device=generator.model.device)
        logits_1LV = generator.model(input_ids=ids_1L).logits[:, len(own) - 1 : -1]
        theirs_B.append(token_losses(logits_1LV, ids_1L[:, len(own) :])[0])
    if not torch.allclose(ours_B, torch.cat(theirs_B), rtol=1e-2):
        raise UserError(
            "path must be a causal model that can be trained with several texts behind one prompt, got "
            f"{path}, whose logits then differ"
        )
