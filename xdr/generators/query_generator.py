"""mT5 and its family as a generator: a question about a passage in a language, or a passage for a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xdr.encoders.texts import Texts, pad, texts_of
from xdr.errors import UserError
from xdr.generators.settings import Task
from xdr.text.languages import find_language

IGNORED = -100
"""The label of a place that no loss is computed at."""


@dataclass(frozen=True, slots=True)
class GeneratorTokenizer:
    """Texts -> tokens and back. `language_pieces` are the decoder's first pieces, where the language stands there."""

    tokenizer: Any
    task: Task
    language_pieces: Mapping[str, int]

    def sources(self, prompts: Sequence[str], longest: int | None = None) -> tuple[Texts, Tensor]:
        """Also which of them were cut."""
        longest = longest or self.task.input_length
        whole = self._pieces(prompts)
        cut = [ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]] for ids in whole]
        return texts_of(cut), torch.tensor([len(ids) > longest for ids in whole], dtype=torch.bool)

    def targets(self, texts: Sequence[str]) -> Texts:
        """One that is too long ends without an end: a cut is not to be learned as one."""
        return texts_of([ids[: self.task.output_length] for ids in self._pieces(texts)])

    def first_pieces(self, languages: Sequence[str]) -> Tensor | None:
        if self.task.language_at == "prompt":
            return None
        return torch.tensor([self.language_pieces[language] for language in languages])

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(list(texts), return_attention_mask=False, verbose=False).input_ids
        return ids


class QueryGenerator(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, sources: Texts, targets: Texts, first_pieces_B: Tensor | None) -> tuple[Tensor, Tensor]:
        """(logits_BLV, labels_BL). A language as first piece is given to the decoder and is no label."""
        config = self.model.config
        ids_BS, mask_BS = pad(sources, config.pad_token_id)
        labels_BL, _ = pad(targets, IGNORED)
        if first_pieces_B is not None:
            labels_BL = torch.cat([first_pieces_B[:, None], labels_BL], 1)
        before_BL = labels_BL.masked_fill(labels_BL == IGNORED, config.pad_token_id)[:, :-1]
        inputs_BL = F.pad(before_BL, (1, 0), value=config.decoder_start_token_id)
        if first_pieces_B is not None:
            labels_BL[:, 0] = IGNORED
        output = self.model(input_ids=ids_BS, attention_mask=mask_BS.long(), decoder_input_ids=inputs_BL, use_cache=False)
        return output.logits, labels_BL


def token_losses(logits_BLV: Tensor, labels_BL: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """(cross entropy summed over each row's labels, their number)."""
    losses_N = F.cross_entropy(
        logits_BLV.float().flatten(0, 1), labels_BL.flatten(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )
    return losses_N.view_as(labels_BL).sum(1), (labels_BL != IGNORED).sum(1)


def choose_language_pieces(tokenizer: Any, languages: Sequence[str]) -> dict[str, int]:
    """One piece for each language, of its English name, that is no other's: pieces that the model knows."""
    chosen: dict[str, int] = {}
    for code in sorted(languages):
        ids = tokenizer(find_language(code).name, add_special_tokens=False).input_ids
        wordless = {tokenizer.convert_tokens_to_ids("▁"), tokenizer.unk_token_id, *chosen.values()}
        free = [piece for piece in ids if piece not in wordless]
        if not free:
            raise UserError(
                f"no piece is left to stand for {find_language(code).name}: those of its name are other languages'; "
                "set model.language_at=prompt"
            )
        chosen[code] = max(free, key=lambda piece: len(tokenizer.convert_ids_to_tokens(piece)))
    return chosen
