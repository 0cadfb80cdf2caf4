"""Hard negatives from a TREC run: `query_id Q0 passage_id rank score tag`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.lines import read_lines, require_file
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems, parse_each
from xdr.errors import DataError, UserError, shown
from xdr.text.records import Passage, TrainingExample


def read_run(path: str | Path, problems: Problems) -> dict[str, list[str]]:
    """query id -> passage ids from the best score to the worst; ties by passage id."""
    path = require_file(path)

    def parse(numbered: tuple[int, str]) -> tuple[str, float, str]:
        number, line = numbered
        fields = line.split()
        if len(fields) != 6:
            raise DataError(f"six fields are wanted, and {len(fields)} came: {shown(line)}", file=path, line=number)
        try:
            return fields[0], -float(fields[4]), fields[2]
        except ValueError:
            raise DataError(f"a number is wanted, and {shown(fields[4])} came", file=path, line=number, field="score") from None

    scored: dict[str, list[tuple[float, str]]] = {}
    for query_id, score, passage_id in parse_each(read_lines(path, problems), parse, problems, str(path)):
        scored.setdefault(query_id, []).append((score, passage_id))
    return {query_id: [passage_id for _, passage_id in sorted(found)] for query_id, found in scored.items()}


def with_run_negatives(
    examples: Iterable[TrainingExample], run: dict[str, list[str]], store: PassageStore, run_path: str, deepest: int = 100
) -> Iterator[TrainingExample]:
    """Replaces the negatives of each example by the first `deepest` passages of the run, without those that are relevant or
    contain an answer. The new negatives have no teacher scores."""
    num_examples = num_ranked = 0
    for example in examples:
        num_examples += 1
        ranked = run.get(example.query.query_id, [])
        relevant = {passage.passage_id for passage in example.positives}
        ids = [passage_id for passage_id in ranked[:deepest] if passage_id not in relevant]
        passages = (store[row] for row in store.require_rows(ids, run_path))
        negatives = tuple(passage for passage in passages if not _holds_answer(passage, example))
        num_ranked += bool(ranked)
        yield replace(example, negatives=negatives, negative_scores=())
    if not num_ranked:
        raise UserError(f"{run_path} ranks passages for none of the {num_examples:,} training queries; is it of other data?")


def _holds_answer(passage: Passage, example: TrainingExample) -> bool:
    """yes and no are answers that every passage may hold."""
    return any(answer in passage.text for answer in example.query.answers if answer not in ("yes", "no"))


def examples_with_negatives(
    benchmark: Benchmark, run_path: str | None, artifacts_dir: Path, problems: Problems
) -> list[TrainingExample]:
    """The benchmark's training examples, with the negatives of a run where one is named."""
    examples = list(benchmark.examples("train", problems))
    if run_path is None:
        return examples
    run = read_run(run_path, problems)
    store = open_collection(benchmark, artifacts_dir, problems)
    return list(with_run_negatives(examples, run, store, run_path))
