"""The objective of token alignment, which encodes by itself: it compares vectors of tokens, not scores.

Q queries.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from xdr.encoders.texts import select
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.late_interaction.token_alignment import alignment_losses
from xdr.late_interaction.token_encoder import TokenEncoder
from xdr.late_interaction.token_encoder_folder import open_token_encoder
from xdr.objectives.train_batch import TrainBatch


@dataclass
class TokenAlignment:
    """The teacher reads the first twin of each query, its translation, and the same passages. It is frozen, and no part of the
    checkpoints. Without a name, it is the model before the training."""

    teacher: str | None
    query_weight: float
    _teacher: list[TokenEncoder] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.query_weight <= 1:
            raise UserError(f"query_weight must be from 0 to 1, got {self.query_weight}")

    def begin(self, model: nn.Module, tokenizer: TextTokenizer) -> None:
        """Opens the teacher, and refuses what it cannot teach. `model` is not trained yet."""
        if not isinstance(model, TokenEncoder) or not model.tokens.query_tokens:
            raise UserError("model must be colbert, with query_expansion, for objective=token_alignment")
        teacher, own = (copy.deepcopy(model), tokenizer) if self.teacher is None else open_token_encoder(self.teacher)
        if own.tokenize.tokenizer.get_vocab() != tokenizer.tokenize.tokenizer.get_vocab():  # type: ignore[attr-defined]  # Hugging Face's
            raise UserError(f"objective.teacher must have the tokenizer of the model, got {self.teacher}, which has another")
        if (teacher.dimension, teacher.tokens) != (model.dimension, model.tokens):
            raise UserError(
                f"objective.teacher must have the dimension and the tokens of the model, {model.dimension} and {model.tokens}, "
                f"got {teacher.dimension} and {teacher.tokens} in {self.teacher}"
            )
        self._teacher = [teacher.eval().requires_grad_(False)]

    def __call__(self, model: nn.Module, batch: TrainBatch, chunk_size: int) -> Mapping[str, Tensor]:
        """The parts of the loss, by name."""
        assert isinstance(model, TokenEncoder)
        (teacher,) = self._teacher
        teacher.to(batch.queries.ids_T.device)
        twins_Q = batch.twin_places_QK[:, 0] if batch.twin_places_QK.shape[1] else torch.tensor([-1])
        if (twins_Q < 0).any():
            raise UserError(
                "data.batches.twins_per_query must be 1 with objective=token_alignment, and every query must have a "
                f"translation. One of these has none: {', '.join(batch.query_ids[:5])} ..."
            )
        own_Q = torch.arange(len(twins_Q), device=twins_Q.device)
        student = model(select(batch.queries, own_Q), batch.passages, chunk_size)
        with torch.no_grad():
            of_teacher = teacher(select(batch.queries, twins_Q), batch.passages)
        return alignment_losses(student, of_teacher, self.query_weight)
