"""What a teacher scores: the training queries, each with its positives and candidates. Needs no torch."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.retrieval.trec_runs import read_run
from xdr.teaching.settings import ListSettings
from xdr.teaching.translations import translations_of
from xdr.text.records import Passage, Query, TrainingExample


class TaughtList(NamedTuple):
    """The first `num_positives` of the passages answer the query."""

    query: Query
    passages: tuple[Passage, ...]
    num_positives: int

    @property
    def record_id(self) -> str:
        return self.query.query_id

    def emptied(self) -> "TaughtList":
        passages = tuple(passage.emptied() for passage in self.passages)
        return self._replace(query=replace(self.query, text=""), passages=passages)


@dataclass(frozen=True)
class Lists:
    """A list for each query."""

    lists: Sequence[TaughtList]

    def __len__(self) -> int:
        return len(self.lists)

    def slice(self, start: int, stop: int) -> Iterator[TaughtList]:
        return iter(self.lists[start:stop])

    @property
    def num_pairs(self) -> int:
        return sum(len(one.passages) for one in self.lists)

    @cached_property
    def fingerprint(self) -> str:
        """Of everything that a teacher reads, and of the ids."""
        digest = hashlib.sha256()
        for query, passages, _ in self.lists:
            texts = [(passage.passage_id, passage.title, passage.text) for passage in passages]
            digest.update(json.dumps([query.query_id, query.text, query.language, texts]).encode())
        return digest.hexdigest()[:32]


def read_lists(benchmark: Benchmark, settings: ListSettings, artifacts_dir: Path, problems: Problems) -> Lists:
    """The lists of the training queries. Queries without a translation or without candidates are left out, and counted in
    `problems`."""
    examples = list(benchmark.examples("train", problems))
    if not examples:
        raise UserError("stage=teach needs training examples, and the data has none of split train")
    queries = {example.query.query_id: example.query for example in examples}
    positives = positives_by_query(examples)
    if settings.candidates is None:
        candidates = _own_negatives(examples)
    else:
        candidates = _of_run(settings.candidates, settings.depth, queries, benchmark, artifacts_dir, problems)
    wordings = queries
    if settings.view == "translation":
        wordings = translations_of(examples, settings.translations, problems)
        _count(problems, len(queries) - len(wordings), "training queries without a translation were left out")
    lists = []
    for query_id, query in wordings.items():
        own = positives[query_id]
        others = {passage.passage_id: passage for passage in candidates[query_id] if passage.passage_id not in own}
        if others:
            lists.append(TaughtList(query, (*own.values(), *others.values()), len(own)))
    _count(problems, len(wordings) - len(lists), "training queries without candidates were left out")
    if not lists:
        raise UserError(f"{settings.candidates or 'the data'} has candidates for none of the queries to teach")
    return Lists(lists)


def positives_by_query(examples: Iterable[TrainingExample]) -> dict[str, dict[str, Passage]]:
    """By ids. Some data have several examples of one query."""
    positives: dict[str, dict[str, Passage]] = defaultdict(dict)
    for example in examples:
        positives[example.query.query_id] |= {passage.passage_id: passage for passage in example.positives}
    return positives


def _own_negatives(examples: Iterable[TrainingExample]) -> Mapping[str, Sequence[Passage]]:
    negatives: dict[str, list[Passage]] = defaultdict(list)
    for example in examples:
        negatives[example.query.query_id] += example.negatives
    if not any(negatives.values()):
        raise UserError("teacher.candidates must be a TREC run for data without negatives, got null")
    return negatives


def _of_run(
    path: str, depth: int, queries: Iterable[str], benchmark: Benchmark, artifacts_dir: Path, problems: Problems
) -> Mapping[str, Sequence[Passage]]:
    run = read_run(path, problems)
    ranked = {query_id: [*islice(run.get(query_id, ()), depth)] for query_id in queries}
    if not any(ranked.values()):
        raise UserError(f"{path} ranks passages for none of the {len(ranked):,} training queries. Is it of other data?")
    store = open_collection(benchmark, artifacts_dir, problems)
    distinct = [*dict.fromkeys(passage_id for ids in ranked.values() for passage_id in ids)]
    known = {key: store[row] for key, row in zip(distinct, store.require_rows(distinct, path), strict=True)}
    return {query_id: [known[passage_id] for passage_id in ids] for query_id, ids in ranked.items()}


def _count(problems: Problems, number: int, what: str) -> None:
    if number:
        problems.omitted[what] += number
