"""A round of mining: the ranking of the training queries is labelled, and becomes a training set. Needs no torch.

FOLDER/mined.jsonl    Tevatron's JSON lines, for `data.mined`
FOLDER/mined.json     what was labelled how, in numbers
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from xdr.data.benchmark import Benchmark
from xdr.data.collection import open_collection
from xdr.data.lines import require_file
from xdr.data.problems import Problems
from xdr.data.tevatron import read_training_examples
from xdr.errors import ArtefactError, UserError
from xdr.retrieval.trec_runs import read_run
from xdr.storage.files import read_json, write_json
from xdr.storage.fingerprint import checksum_file
from xdr.teaching.labelling import LabelCounts, labelled_examples, write_examples
from xdr.teaching.lists import positives_by_query
from xdr.teaching.scores import open_scores
from xdr.teaching.settings import LabelRules
from xdr.text.records import Passage, TrainingExample

EXAMPLES, REPORT = "mined.jsonl", "mined.json"


@dataclass(frozen=True)
class MiningJob:
    """`run` is a TREC run of the training queries, `scores` an output folder of stage=teach or None."""

    benchmark: Benchmark
    run: Path
    scores: Path | None
    rules: LabelRules
    artifacts_dir: Path
    output_dir: Path


def mine(job: MiningJob, problems: Problems, console: Console) -> None:
    """Writes the training set and the counts."""
    run = read_run(job.run, problems)
    scores = None if job.scores is None else dict(open_scores(str(job.scores)))
    queries = {query.query_id: query for query in job.benchmark.queries("train", problems)}.values()
    known = positives_by_query(job.benchmark.examples("train", problems))
    rules = with_threshold(job.rules, run if scores is None else scores, known)
    store = open_collection(job.benchmark, job.artifacts_dir, problems)

    def passage(passage_id: str) -> Passage:
        return store[store.require_rows([passage_id], str(job.run))[0]]

    own = {passage_id: one for of_query in known.values() for passage_id, one in of_query.items()}
    counts, languages = LabelCounts(), Counter[str]()

    def counted() -> Iterator[TrainingExample]:
        found = labelled_examples(queries, run, lambda key: own.get(key) or passage(key), rules, counts, scores, known)
        for example in found:
            languages[example.query.language] += 1
            yield example

    write_examples(job.output_dir / EXAMPLES, counted())
    write_json(
        job.output_dir / REPORT,
        {
            "run": str(job.run),
            "scores": None if job.scores is None else str(job.scores),
            "rules": {**asdict(job.rules), "threshold": rules.threshold},
            "queries": dict(counts.queries),
            "kept_by_language": dict(languages),
            "passages": dict(counts.passages),
            "sha256": checksum_file(job.output_dir / EXAMPLES),
        },
    )
    for name, of_name in (("Queries", counts.queries), ("Passages", counts.passages)):
        console.print(f"{name}: {', '.join(f'{number:,} {what}' for what, number in of_name.items())}", markup=False)
    if not counts.queries["kept"]:
        raise UserError(f"no training query has a positive and a negative passage. {job.output_dir / REPORT} counts why")
    console.print(f"Training set: {job.output_dir / EXAMPLES}", markup=False, soft_wrap=True)


def with_threshold(
    rules: LabelRules, scores: Mapping[str, Mapping[str, float]], known: Mapping[str, Collection[str]]
) -> LabelRules:
    """The rules with a number in place of a quantile."""
    if rules.quantile is None:
        return rules
    of_known = [scores[key][one] for key, ids in known.items() for one in ids if one in scores.get(key, {})]
    if not of_known:
        raise UserError(
            f"mining.quantile must be null for data that names no passages that answer the training queries, got "
            f"{rules.quantile}. Set mining.threshold"
        )
    return replace(rules, threshold=float(np.quantile(of_known, rules.quantile)), quantile=None)


def read_mined(source: str, benchmark: Benchmark, problems: Problems) -> list[TrainingExample]:
    """The examples of a mined.jsonl, or of an output folder of stage=mine, with the benchmark's other wordings of their
    queries."""
    path = Path(source).expanduser()
    report = path / REPORT
    path = require_file(path / EXAMPLES if path.is_dir() else path)
    if report.is_file() and read_json(report).get("sha256", "") not in ("", checksum_file(path)):
        raise ArtefactError(
            f"{path} is not what stage=mine wrote: its SHA-256 differs from that in {report}. Run stage=mine again, or give "
            "data.mined the file itself to use it as it is"
        )
    twins = {example.query.query_id: example.twins for example in benchmark.examples("train", problems)}
    examples = read_training_examples(path, problems)
    return [replace(example, twins=twins.get(example.query.query_id, ())) for example in examples]
