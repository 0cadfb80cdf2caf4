"""Training examples from queries, judgements and a corpus."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Passage, Query, TrainingExample


def judged_examples(
    queries: Iterable[Query],
    judgements: Iterable[Judgement],
    corpus: Iterable[Passage],
    problems: Problems,
    files: tuple[Path, str],
) -> Iterator[TrainingExample]:
    """The queries that have relevant passages, with these and the passages that were judged not relevant. `files` are the
    judgements and the name of the corpus, for errors."""
    judged: dict[str, dict[str, int]] = {}
    for judgement in judgements:
        judged.setdefault(judgement.query_id, {})[judgement.passage_id] = judgement.relevance
    judged = {query_id: relevance for query_id, relevance in judged.items() if max(relevance.values()) > 0}
    if not judged:
        return
    passages = _passages_of({key for relevance in judged.values() for key in relevance}, corpus, problems, files)
    for query in queries:
        relevance = judged.get(query.query_id, {})
        positives, negatives = (
            tuple(passages[key] for key, value in relevance.items() if (value > 0) == wanted and key in passages)
            for wanted in (True, False)
        )
        if positives:
            yield TrainingExample(query, positives, negatives)


def _passages_of(
    passage_ids: set[str], corpus: Iterable[Passage], problems: Problems, files: tuple[Path, str]
) -> dict[str, Passage]:
    """By id. Stops reading after the last of them."""
    passages: dict[str, Passage] = {}
    for passage in corpus:
        if passage.passage_id in passage_ids:
            passages[passage.passage_id] = passage
            if len(passages) == len(passage_ids):
                return passages
    for passage_id in sorted(passage_ids - passages.keys()):
        problem = f"the passage '{passage_id}' is not in {files[1]}"
        problems.skip(DataError(problem, file=files[0], remedy="Are qrels and corpus of one release?"))
    return passages
