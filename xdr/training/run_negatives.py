"""Training examples with hard negatives from a TREC run, with the passages that a teacher scored, or mined ones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.retrieval.trec_runs import read_run
from xdr.teaching.mining import read_mined
from xdr.teaching.taught_examples import examples_with_scores
from xdr.text.records import Passage, TrainingExample


def training_examples(
    benchmark: Benchmark,
    run_path: str | None,
    teacher_scores: str | None,
    mined: str | None,
    artifacts_dir: Path,
    problems: Problems,
) -> list[TrainingExample]:
    """The benchmark's training examples; with the negatives of a run, or the passages that a teacher scored, where one of them
    is given. Or those that stage=mine made of them."""
    if mined is not None:
        for name, given in (("negatives", run_path), ("teacher_scores", teacher_scores)):
            if given is not None:
                raise UserError(f"data.{name} must be null with data.mined, which has negatives and scores, got {given}")
        return read_mined(mined, benchmark, problems)
    if teacher_scores is not None:
        if run_path is not None:
            raise UserError(f"data.negatives must be null with data.teacher_scores, which has negatives, got {run_path}")
        return examples_with_scores(benchmark, teacher_scores, artifacts_dir, problems)
    examples = list(benchmark.examples("train", problems))
    if run_path is None:
        return examples
    run = read_run(run_path, problems)
    store = open_collection(benchmark, artifacts_dir, problems)
    return list(with_run_negatives(examples, run, store, run_path))


def with_run_negatives(
    examples: Iterable[TrainingExample],
    run: Mapping[str, Iterable[str]],
    store: PassageStore,
    run_path: str,
    deepest: int = 100,
) -> Iterator[TrainingExample]:
    """Replaces the negatives of each example by the first `deepest` passages of the run, without those that are relevant or
    contain an answer. The new negatives have no teacher scores."""
    num_examples = num_ranked = 0
    for example in examples:
        num_examples += 1
        ranked = list(run.get(example.query.query_id, []))
        relevant = {passage.passage_id for passage in example.positives}
        ids = [passage_id for passage_id in ranked[:deepest] if passage_id not in relevant]
        passages = (store[row] for row in store.require_rows(ids, run_path))
        negatives = tuple(passage for passage in passages if not _has_answer(passage, example))
        num_ranked += bool(ranked)
        yield replace(example, negatives=negatives, negative_scores=())
    if not num_ranked:
        raise UserError(f"{run_path} ranks passages for none of the {num_examples:,} training queries. Is it of other data?")


def _has_answer(passage: Passage, example: TrainingExample) -> bool:
    """`yes` and `no` do not count: any passage may contain them."""
    return any(answer in passage.text for answer in example.query.answers if answer not in ("yes", "no"))
