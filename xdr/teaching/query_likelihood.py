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
from xdr.generators.query_generator import IGNORED, token_losses
from xdr.text.records import Passage, Query

_QUERIES_TOGETHER = 16
"""Queries about one passage that a causal model reads behind it in one sequence, whose attention grows with its square."""


@dataclass(frozen=True)
class QueryLikelihood:
    """`end_token` says whether the end of the query counts as a token. A query in the language of its record is asked for. A
    causal model reads a passage once for several queries."""

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
            inputs = self.tokenizer.training_inputs(
                [passages[row] for row in rows],
                [queries[row].language for row in rows],
                [queries[row].text for row in rows],
            )
            losses_B, counts_B = self.generator.losses(_on(device, inputs), self._losses)
            for row, score in zip(rows, (-losses_B.float() / counts_B).tolist(), strict=True):
                scores[row] = score
        return scores

    def _losses(self, logits_BLV: Tensor, labels_BL: Tensor) -> tuple[Tensor, Tensor]:
        if not self.end_token:
            labels_BL = labels_BL.masked_fill(labels_BL == self.tokenizer.huggingface.eos_token_id, IGNORED)
        return token_losses(logits_BLV, labels_BL)

    def _groups(self, queries: Sequence[Query], passages: Sequence[Passage]) -> tuple[list[list[int]], list[int]]:
        """The rows that are scored in one sequence, and the number of its tokens, from the shortest to the longest."""
        of_prompt: dict[tuple[Passage, str], list[int]] = defaultdict(list)
        for row, (query, passage) in enumerate(zip(queries, passages, strict=True)):
            of_prompt[passage, query.language].append(row)
        template, task = self.tokenizer.task.template, self.tokenizer.task
        prompts = self._num_tokens([template.render(*one) for one in of_prompt], task.input_length)
        texts = self._num_tokens([query.text for query in queries], task.output_length)
        together = _QUERIES_TOGETHER if isinstance(self.generator, CausalGenerator) else 1
        groups = [
            (prompt + sum(texts[row] for row in rows[start : start + together]), rows[start : start + together])
            for prompt, rows in zip(prompts, of_prompt.values(), strict=True)
            for start in range(0, len(rows), together)
        ]
        groups.sort()
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
