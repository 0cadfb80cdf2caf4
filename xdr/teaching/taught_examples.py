"""Training examples with a teacher's scores."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.teaching.lists import positives_by_query
from xdr.teaching.scores import open_scores
from xdr.text.records import Passage, TrainingExample


def examples_with_scores(benchmark: Benchmark, source: str, artifacts_dir: Path, problems: Problems) -> list[TrainingExample]:
    """The benchmark's training examples with the scores of an output folder of stage=teach. The negatives of an example are the
    passages that were scored besides those that answer its query. Examples of queries without scores are left out and counted:
    a query may have had no translation, or no ranking."""
    examples, stored = list(benchmark.examples("train", problems)), open_scores(source)
    scores = dict(stored)
    taught = [example for example in examples if example.query.query_id in scores]
    if not taught:
        raise UserError(f"{stored.folder} has scores for none of the {len(examples):,} training examples. Is it of other data?")
    if len(taught) < len(examples):
        problems.omitted["training examples without a teacher's scores were left out"] += len(examples) - len(taught)
    answering = positives_by_query(taught)
    known = {passage.passage_id: passage for example in taught for passage in (*example.positives, *example.negatives)}
    of_collection = [*dict.fromkeys(key for one in taught for key in scores[one.query.query_id] if key not in known)]
    if of_collection:
        store = open_collection(benchmark, artifacts_dir, problems)
        rows = store.require_rows(of_collection, str(stored.folder))
        known |= {passage_id: store[row] for passage_id, row in zip(of_collection, rows, strict=True)}
    return [
        _with_scores(one, scores[one.query.query_id], answering[one.query.query_id], known, stored.folder) for one in taught
    ]


def _with_scores(
    example: TrainingExample,
    scores: Mapping[str, float],
    answering: Mapping[str, Passage],
    known: Mapping[str, Passage],
    folder: Path,
) -> TrainingExample:
    if unscored := [passage.passage_id for passage in example.positives if passage.passage_id not in scores]:
        raise UserError(
            f"{folder} must have scores of all passages that answer query '{example.query.query_id}', got none of "
            f"'{unscored[0]}'. Is it of other data?"
        )
    negatives = [passage_id for passage_id in scores if passage_id not in answering]
    return replace(
        example,
        negatives=tuple(known[passage_id] for passage_id in negatives),
        positive_scores=tuple(scores[passage.passage_id] for passage in example.positives),
        negative_scores=tuple(scores[passage_id] for passage_id in negatives),
    )
