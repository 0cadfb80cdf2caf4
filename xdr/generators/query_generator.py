"""Models of the T5 family as generators: a question about a passage, or a passage for a question.

Shape suffixes: B texts of a batch, S tokens of a prompt, L tokens of a text, V tokens of the vocabulary, N = B x L.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xdr.encoders.texts import Texts, pad, texts_of
from xdr.errors import UserError
from xdr.generators.settings import Task
from xdr.text.languages import find_language
from xdr.text.records import Passage

IGNORED = -100
"""The label of a position without a loss."""


class PromptsAndTexts(NamedTuple):
    """What a model of the T5 family learns from. `prompts_B` says which prompt is a text's; None: the one at the same place."""

    prompts: Texts
    targets: Texts
    first_tokens_B: Tensor | None
    prompts_B: Tensor | None = None


@dataclass(frozen=True, slots=True)
class GeneratorTokenizer:
    """Texts to tokens and back, with Hugging Face's tokenizer. `language_tokens` holds the decoder's first token of each
    language, where the language is given to the decoder."""

    huggingface: Any
    task: Task
    language_tokens: Mapping[str, int]

    def prompt(self, source: Passage, language: str) -> str:
        return self.task.template.render(source, language)

    def tail(self, source: Passage, language: str) -> str:
        """What the prompt says after the source."""
        return self.task.template.tail(source, language)

    def sources(self, prompts: Sequence[str], max_length: int | None = None, tails: Sequence[str] = ()) -> tuple[Texts, Tensor]:
        """The prompts' tokens, and which prompts were truncated. A truncated prompt keeps its tail and its end token."""
        max_length = max_length or self.task.input_length
        whole = self._token_ids(prompts)
        truncated = [len(ids) > max_length for ids in whole]
        kept = [len(ids) for ids in self._token_ids(tails)] if any(tails) and any(truncated) else [1] * len(prompts)
        if max(kept, default=0) >= max_length:
            raise UserError(
                f"input_length must be above {max(kept)}, the tokens that the prompt has after its source, got {max_length}"
            )
        cut = [
            [*ids[: max_length - end], *ids[-end:]] if was_truncated else ids
            for ids, was_truncated, end in zip(whole, truncated, kept, strict=True)
        ]
        return texts_of(cut), torch.tensor(truncated, dtype=torch.bool)

    def targets(self, texts: Sequence[str]) -> Texts:
        """A truncated target has no end token, so that the generator does not learn to end there."""
        return texts_of([ids[: self.task.output_length] for ids in self._token_ids(texts)])

    def training_inputs(self, sources: Sequence[Passage], languages: Sequence[str], texts: Sequence[str]) -> PromptsAndTexts:
        """`texts` are to be generated for the sources and languages at the same place."""
        asked = list(zip(sources, languages, strict=True))
        prompts, _ = self.sources([self.prompt(*one) for one in asked], tails=[self.tail(*one) for one in asked])
        return PromptsAndTexts(prompts, self.targets(texts), self.first_tokens(languages))

    def first_tokens(self, languages: Sequence[str]) -> Tensor | None:
        """The decoder's first token for each language; None where the prompt names the language."""
        if self.task.language_at == "prompt":
            return None
        return torch.tensor([self.language_tokens[language] for language in languages])

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.huggingface.decode(ids, skip_special_tokens=True)
        return text.strip()

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self.huggingface(list(texts), return_attention_mask=False, verbose=False).input_ids
        return ids


class QueryGenerator(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, sources: Texts, targets: Texts, first_tokens_B: Tensor | None, sources_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns (logits_BLV, labels_BL). A language given as first token is an input of the decoder and not a label. The
        encoder reads each source once; `sources_B` says which one is a text's."""
        config = self.model.config
        ids_BS, mask_BS = pad(sources, config.pad_token_id)
        labels_BL, _ = pad(targets, IGNORED)
        if first_tokens_B is not None:
            labels_BL = torch.cat([first_tokens_B[:, None], labels_BL], 1)
        before_BL = labels_BL.masked_fill(labels_BL == IGNORED, config.pad_token_id)[:, :-1]
        inputs_BL = F.pad(before_BL, (1, 0), value=config.decoder_start_token_id)
        if first_tokens_B is not None:
            labels_BL[:, 0] = IGNORED
        read: dict[str, Any] = {"input_ids": ids_BS, "attention_mask": mask_BS.long()}
        if sources_B is not None:
            states_BSD = self.model.get_encoder()(**read).last_hidden_state[sources_B]
            read = {"encoder_outputs": (states_BSD,), "attention_mask": mask_BS[sources_B].long()}
        output = self.model(**read, decoder_input_ids=inputs_BL, use_cache=False)
        return output.logits, labels_BL

    def losses(
        self, inputs: PromptsAndTexts, objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """The objective's loss of each text, summed over its labels, and the number of its labels."""
        return objective(*self(*inputs))


def token_losses(logits_BLV: Tensor, labels_BL: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Returns the cross entropy summed over each row's labels, and the number of labels of each row."""
    losses_N = F.cross_entropy(
        logits_BLV.float().flatten(0, 1), labels_BL.flatten(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )
    return losses_N.view_as(labels_BL).sum(1), (labels_BL != IGNORED).sum(1)


def choose_language_tokens(tokenizer: Any, languages: Sequence[str]) -> dict[str, int]:
    """A token of its own for each language, taken from the language's English name, so that the model knows the token."""
    chosen: dict[str, int] = {}
    for code in sorted(languages):
        ids = tokenizer(find_language(code).name, add_special_tokens=False).input_ids
        excluded = {tokenizer.convert_tokens_to_ids("▁"), tokenizer.unk_token_id, *chosen.values()}
        free = [token for token in ids if token not in excluded]
        if not free:
            raise UserError(
                f"language_at must be prompt with these languages: every token of the name {find_language(code).name} already "
                "stands for another language. Set model.language_at=prompt"
            )
        chosen[code] = max(free, key=lambda token: len(tokenizer.convert_ids_to_tokens(token)))
    return chosen
