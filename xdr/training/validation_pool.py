"""Dev questions and a fixed pool of passages to find theirs in."""

from collections.abc import Iterable
from dataclasses import dataclass

from xdr.errors import UserError
from xdr.text.records import Passage, Query, TrainingExample


@dataclass(frozen=True)
class ValidationPool:
    """`gold` holds, for each query, the rows of the passages that answer it. Passages stand in the order of their ids."""

    queries: list[Query]
    passages: list[Passage]
    gold: list[list[int]]


def validation_pool(dev: Iterable[TrainingExample], train: Iterable[TrainingExample], largest: int) -> ValidationPool:
    """The pool is made of the passages that answer dev questions, then of the other passages of dev and training examples, up
    to `largest` in all."""
    dev = list(dev)
    if not dev:
        raise UserError(
            "there are no dev examples to validate on; set callbacks.validation.largest_pool=0 to train without validation"
        )
    passages = {passage.passage_id: passage for example in dev for passage in example.positives}
    for example in [*dev, *train]:
        for passage in (*example.positives, *example.negatives):
            if len(passages) < largest:
                passages.setdefault(passage.passage_id, passage)
    ordered = [passages[passage_id] for passage_id in sorted(passages)]
    row_of = {passage.passage_id: row for row, passage in enumerate(ordered)}
    gold = [sorted({row_of[passage.passage_id] for passage in example.positives}) for example in dev]
    return ValidationPool([example.query for example in dev], ordered, gold)
