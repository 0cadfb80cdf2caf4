"""A generator as a teacher: the mean log-likelihood of a query's tokens, given the passage (QuiCK, UMR).

B pairs of a batch, L tokens of a text, V tokens of the vocabulary.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xdr.encoders.encoding import CPU_TOKENS, length_sorted_batches
from xdr.errors import UserError
from xdr.generators.causal_generator import CausalGenerator
from xdr.generators.query_generator import IGNORED, PromptsAndTexts, token_losses
from xdr.text.records import Passage, Query

_QUERIES_TOGETHER = 16
"""Queries for which a passage is read once. A causal model has them in one sequence, whose attention grows with its square."""
_T5_LABEL = 8
"""So many tokens of the budget are a label of the T5 family, whose logits exist for a whole batch at one time."""


@dataclass(frozen=True)
class QueryLikelihood:
    """`end_token` says whether the end of the query counts as a token. A query in the language of its record is asked for. A
    passage is read once for several queries."""

    generator: Any
    tokenizer: Any
    end_token: bool
    tokens_per_batch: int

    @torch.no_grad()
    def score(self, queries: Sequence[Query], passages: Sequence[Passage]) -> list[float]:
        self._require_languages(queries)
        device = self.generator.model.device
        budget = min(self.tokens_per_batch, CPU_TOKENS) if device.type == "cpu" else self.tokens_per_batch
        groups, lengths = self._groups(queries, passages)
        scores = [0.0] * len(queries)
        for batch in length_sorted_batches(lengths, budget):
            rows = [row for group in groups[batch] for row in group]
            inputs = self._inputs(queries, passages, rows)
            if isinstance(inputs, PromptsAndTexts):
                prompts = self._inputs(queries, passages, [group[0] for group in groups[batch]]).prompts
                prompts_B = torch.tensor([number for number, group in enumerate(groups[batch]) for _ in group])
                inputs = inputs._replace(prompts=prompts, prompts_B=prompts_B)
            losses_B, counts_B = self.generator.losses(_on(device, inputs), self._losses)
            for row, score in zip(rows, (-losses_B.float() / counts_B).tolist(), strict=True):
                scores[row] = score
        return scores

    def _inputs(self, queries: Sequence[Query], passages: Sequence[Passage], rows: Sequence[int]) -> Any:
        asked = [queries[row] for row in rows]
        sources, languages = [passages[row] for row in rows], [query.language for query in asked]
        return self.tokenizer.training_inputs(sources, languages, [query.text for query in asked])

    def _losses(self, logits_BLV: Tensor, labels_BL: Tensor) -> tuple[Tensor, Tensor]:
        if not self.end_token:
            labels_BL = labels_BL.masked_fill(labels_BL == self.tokenizer.huggingface.eos_token_id, IGNORED)
        return token_losses(logits_BLV, labels_BL)

    def _groups(self, queries: Sequence[Query], passages: Sequence[Passage]) -> tuple[list[list[int]], list[int]]:
        """The rows that are read together, and what they cost in tokens, from the cheapest to the dearest: those of one passage
        for a causal model, those of one prompt for the T5 family."""
        task, is_causal = self.tokenizer.task, isinstance(self.generator, CausalGenerator)
        together: dict[Passage | str, list[int]] = defaultdict(list)
        for row, (query, passage) in enumerate(zip(queries, passages, strict=True)):
            together[passage if is_causal else task.template.render(passage, query.language)].append(row)
        firsts = [rows[0] for rows in together.values()]
        prompts = [task.template.render(passages[row], queries[row].language) for row in firsts]
        texts = self._num_tokens([query.text for query in queries], task.output_length)
        label = 1 if is_causal else _T5_LABEL
        groups = sorted(
            (prompt + label * sum(texts[row] for row in own), own)
            for prompt, rows in zip(self._num_tokens(prompts, task.input_length), together.values(), strict=True)
            for own in (rows[start : start + _QUERIES_TOGETHER] for start in range(0, len(rows), _QUERIES_TOGETHER))
        )
        return [rows for _, rows in groups], [length for length, _ in groups]

    def _num_tokens(self, texts: Sequence[str], longest: int) -> list[int]:
        return [min(len(ids), longest) for ids in self.tokenizer.huggingface(list(texts), verbose=False).input_ids]

    def _require_languages(self, queries: Sequence[Query]) -> None:
        trained = self.tokenizer.task.languages
        if trained and (unknown := {query.language for query in queries}.difference(trained)):
            raise UserError(
                f"the queries must be in languages of the generator ({' '.join(trained)}), got {min(unknown)}. Choose another "
                "teacher, or another teacher.view"
            )


def _on(device: torch.device, value: Any) -> Any:
    """Tensors in named tuples, at any depth, on the device."""
    if isinstance(value, Tensor):
        return value.to(device)
    return value if value is None else type(value)(*(_on(device, part) for part in value))
