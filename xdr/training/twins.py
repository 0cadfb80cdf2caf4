"""Other wordings of training queries: where they come from, and whether the batches and the objective use them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.problems import Problems
from xdr.data.training_set import TrainingSet
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.noise.query_noise import QueryNoise
from xdr.objectives.batch_labels import Twins
from xdr.objectives.losses import RetrieverObjective, total_loss
from xdr.objectives.scoring import score_batch
from xdr.objectives.token_alignment import TokenAlignment
from xdr.objectives.train_batch import TrainBatch
from xdr.text.records import Query, TrainingExample
from xdr.training.batches import BatchSettings
from xdr.writing.generated_source import open_texts

NOISE = "noise"
"""The value of `data.twins` for noisy versions."""


def with_generated_twins(
    examples: Sequence[TrainingExample], source: str, benchmark: Benchmark, artifacts_dir: Path, problems: Problems
) -> list[TrainingExample]:
    """Replaces the twins of each example by the other questions about its positive passages in `source`."""
    store = open_collection(benchmark, artifacts_dir, problems)
    try:
        generated = open_texts(source, benchmark, store, artifacts_dir)
    except UserError as error:
        raise UserError(str(error).replace("augmentation.source", "data.twins")) from None
    if generated.made_by.get("direction") == "passage_from_query":
        raise UserError(f"data.twins must be questions about passages, got passages for questions: {source}")
    ids = sorted({passage.passage_id for example in examples for passage in example.positives})
    about: dict[str, list[Query]] = defaultdict(list)
    for row in sorted(row for row in store.rows(ids) if row is not None):
        (texts,) = generated.slice(row, row + 1)
        for language, questions in texts.texts.items():
            passage_id = texts.source_id
            about[passage_id] += (Query(f"{passage_id}:{language}:{i}", text, language) for i, text in enumerate(questions))
    if not any(about.values()):
        raise UserError(f"{source} has no questions about the passages of the {len(examples):,} training examples")
    return [replace(example, twins=tuple(_others(example, about))) for example in examples]


def _others(example: TrainingExample, about: Mapping[str, Sequence[Query]]) -> Iterator[Query]:
    for passage in example.positives:
        yield from (twin for twin in about.get(passage.passage_id, ()) if twin.text != example.query.text)


def check_twins(data: TrainingSet, batches: BatchSettings, source: object) -> None:
    """Refuses twins that batches leave out, and batches that want twins of data without them. `source` is `data.twins`."""
    if source is not None and not batches.twins_per_query:
        raise UserError("data.batches.twins_per_query must be at least 1 with data.twins, got 0. Set it, or data.twins=null")
    if batches.twins_per_query and data.reword is None and not any(example.twins for example in data.examples):
        raise UserError(
            f"data.batches.twins_per_query must be 0 for data without other wordings of its queries, got "
            f"{batches.twins_per_query}. Set it to 0, or data.twins to generated questions about the passages or to noise"
        )


def with_noise(data: TrainingSet, batches: BatchSettings, twins: object, noise: QueryNoise | None) -> TrainingSet:
    """The training set with what writes noisy queries, and noisy twins with `data.twins=noise`."""
    if noise is None:
        if batches.most_noise.share or twins == NOISE:
            setting = "data.twins=noise" if twins == NOISE else f"data.batches.noisy={batches.noisy}"
            raise UserError(f"noise must say what noise is with {setting}, got none. Choose noise=typos, or another one")
        return data
    if not batches.most_noise.share and twins != NOISE:
        raise UserError(
            "data.batches.noisy must be above 0 with a noise, got 0. Set it, or data.twins=noise for objectives that compare "
            "wordings, or noise=none"
        )
    return replace(data, noise=noise.rewording, reword=noise.rewording if twins == NOISE else data.reword)


def begin_objective(objective: Any, model: nn.Module, tokenizer: TextTokenizer, batch: TrainBatch) -> None:
    """Before a training: token alignment opens its teacher, and other objectives are tried."""
    if isinstance(objective, TokenAlignment):
        if batch.version_places_QV.shape[1]:
            raise UserError("data.batches.hardest_of must be 1 with objective=token_alignment, which has no losses of versions")
        objective.begin(model, tokenizer)
    else:
        try_objective(objective, batch)


def _products(left_XD: Tensor, right_PD: Tensor) -> Tensor:
    return left_XD @ right_PD.T


def try_objective(objective: RetrieverObjective, batch: TrainBatch) -> None:
    """Lets an objective refuse batches before the training: it is called with one batch and random vectors. Twins that it does
    not use are refused here."""
    rng = torch.Generator().manual_seed(0)
    queries_XD, passages_PD = (torch.randn(len(of), 8, generator=rng) for of in (batch.queries.lengths_B, batch.keys_P))
    scores_QP, labels = score_batch(queries_XD, passages_PD, batch, _products, lambda part: part, 0)

    def loss(twins: Twins | None) -> Tensor:
        with torch.no_grad():
            return total_loss(objective(scores_QP, replace(labels, twins=twins)))[0]

    with_twins = loss(labels.twins)
    if labels.twins is None:
        return
    try:
        unused = torch.equal(loss(None), with_twins)
    except UserError:
        return  # it needs them
    if unused:
        raise UserError(
            f"data.batches.twins_per_query must be 0 with an objective that does not use other wordings of queries, got "
            f"{batch.twin_places_QK.shape[1]}. Set it to 0, or choose an objective such as objective=alignment"
        )
