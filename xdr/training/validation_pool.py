"""Dev queries and a fixed pool of passages to search."""

from collections.abc import Iterable
from dataclasses import dataclass

from xdr.errors import UserError
from xdr.text.records import Passage, Query, TrainingExample


@dataclass(frozen=True)
class ValidationPool:
    """`relevant` holds, for each query, the rows of its relevant passages. Passages are sorted by id."""

    queries: list[Query]
    passages: list[Passage]
    relevant: list[list[int]]


def validation_pool(dev: Iterable[TrainingExample], train: Iterable[TrainingExample], largest: int) -> ValidationPool:
    """The pool holds the positives of dev examples, then other passages of dev and training examples up to `largest` in all."""
    dev = list(dev)
    if not dev:
        raise UserError(
            "Validation needs dev examples, and the data has none. Set callbacks.validation.largest_pool=0 to train without "
            "validation"
        )
    passages = {passage.passage_id: passage for example in dev for passage in example.positives}
    for example in [*dev, *train]:
        for passage in (*example.positives, *example.negatives):
            if len(passages) < largest:
                passages.setdefault(passage.passage_id, passage)
    ordered = [passages[passage_id] for passage_id in sorted(passages)]
    row_of = {passage.passage_id: row for row, passage in enumerate(ordered)}
    relevant = [sorted({row_of[passage.passage_id] for passage in example.positives}) for example in dev]
    return ValidationPool([example.query for example in dev], ordered, relevant)
