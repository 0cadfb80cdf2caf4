"""A cross-encoder: a sequence classifier of transformers that reads a query and a passage together.

N pairs, B pairs of a batch, L tokens of the longest, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from xdr.encoders.encoding import CPU_TOKENS, length_sorted_batches
from xdr.encoders.fingerprints import fingerprint_model
from xdr.encoders.texts import pad, texts_of
from xdr.encoders.transformer_encoder import load_config, num_positions
from xdr.errors import UserError, did_you_mean, loading, shown
from xdr.text.prompts import passage_text
from xdr.text.records import Passage, Query

_AT_ONCE = 8192
"""Pairs whose tokens exist at one time."""


@dataclass(frozen=True)
class CrossEncoder:
    """The logit of one label, without an activation. A pair has at most `length` tokens; the longer of its texts is cut."""

    model: Any
    tokenizer: Any
    label: int
    length: int
    tokens_per_batch: int

    def score(self, queries: Sequence[Query], passages: Sequence[Passage]) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(queries), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            scores += self._score(queries[part], passages[part])
        return scores

    @torch.no_grad()
    def _score(self, queries: Sequence[Query], passages: Sequence[Passage]) -> list[float]:
        pairs = [query.text for query in queries], [passage_text(passage) for passage in passages]
        encoded = self.tokenizer(*pairs, truncation=True, max_length=self.length, return_attention_mask=False)
        rows = sorted(range(len(queries)), key=lambda row: len(encoded.input_ids[row]))
        device = self.model.device
        budget = min(self.tokens_per_batch, CPU_TOKENS) if device.type == "cpu" else self.tokens_per_batch
        scores_N = torch.empty(len(queries))
        for batch in length_sorted_batches([len(encoded.input_ids[row]) for row in rows], budget):
            own = rows[batch]
            ids_BL, mask_BL = pad(texts_of([encoded.input_ids[row] for row in own]), self.tokenizer.pad_token_id)
            inputs = {"input_ids": ids_BL, "attention_mask": mask_BL.long()}
            if "token_type_ids" in encoded:
                inputs["token_type_ids"], _ = pad(texts_of([encoded.token_type_ids[row] for row in own]), 0)
            logits_BC = self.model(**{name: values.to(device) for name, values in inputs.items()}).logits
            scores_N[own] = logits_BC[:, self.label].float().cpu()
        return scores_N.tolist()


def load_cross_encoder(path: str, label: str | int | None, length: int, tokens_per_batch: int) -> CrossEncoder:
    """From a folder or the hub. `label` is a label's name or number; None for a model with one logit."""
    folder = Path(path).expanduser()
    path = str(folder) if folder.exists() else path
    config = load_config(path)
    most = num_positions(config)
    if most is not None and length > most:
        raise UserError(f"length must be at most {most}, the positions of the model, got {length}")
    with loading(f"the cross-encoder in {path}"):
        model, found = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(path)
    if missing := sorted(found["missing_keys"]):
        raise UserError(f"path must be a sequence classifier, got {path}, whose files lack {missing[0]}")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id  # a causal classifier finds the last token by it
    return CrossEncoder(model.eval(), tokenizer, _label_of(model.config, label), length, tokens_per_batch)


def _label_of(config: Any, label: str | int | None) -> int:
    names = {str(name): int(number) for number, name in config.id2label.items()}
    if label is None and len(names) == 1:
        return 0
    numbers = {str(number): number for number in names.values()}
    chosen = names.get(str(label), numbers.get(str(label)))
    if label is None or chosen is None:
        rule = f"label must be one of {', '.join(names)}, the model's labels" + ("" if len(names) > 1 else ", or null")
        raise UserError(f"{rule}, got {shown(label)}; {did_you_mean(str(label), names)}".rstrip("; "))
    return chosen


def fingerprint_cross_encoder(teacher: CrossEncoder) -> str:
    return fingerprint_model(teacher.model, teacher.model.config, teacher.tokenizer, [teacher.label, teacher.length])
