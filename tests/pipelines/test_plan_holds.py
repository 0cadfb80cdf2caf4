"""A plan compared with its job, on a collection of some size. `pytest -m slow -s` on this file prints the figures."""

import json
import random
import re
import shutil
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest

from tests.runs import run
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems

NUM_PASSAGES, ROUNDS = 60_000, 3
UNITS = {"s": 1.0, "seconds": 1.0, "minutes": 60.0, "hours": 3600.0}
ALPHAS = [
    "augmentation=generated_queries",
    "augmentation.fusion=unit_mean",
    "augmentation.alpha=[0.1,0.2,0.3]",
    "search.shard_size=20000",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
]


def make_collection(folder: Path, num_passages: int) -> None:
    """Leaves the sample's passages among random ones, which mix its sentences and words; all its queries; and two random
    queries in each of two languages for every passage."""
    rng, sample = random.Random(0), Sample()
    passages = list(sample.passages(Problems()))
    sentences = [sentence for passage in passages for sentence in passage.text.split(". ")]
    words = " ".join(sentences).split()
    queries = [query for split in ("train", "dev") for query in sample.queries(split, Problems())]
    relevant = {j.query_id: j.passage_id for split in ("train", "dev") for j in sample.judgements(split, Problems())}
    asked = defaultdict(list)
    for query in queries:
        asked[query.language].append(query.text)

    def made_up() -> str:
        chosen = " ".join(rng.choices(sentences, k=rng.randint(3, 8))).split()
        return " ".join(word if rng.random() < 0.5 else rng.choice(words) for word in chosen)

    corpus = [{"docid": passage.passage_id, "title": passage.title, "text": passage.text} for passage in passages]
    corpus += [{"docid": f"x{i}", "title": "", "text": made_up()} for i in range(num_passages - len(corpus))]
    rng.shuffle(corpus)
    generated = [
        {"docid": row["docid"], "generated_queries": {code: rng.choices(asked[code], k=2) for code in ("fi", "ja")}}
        for row in corpus
    ]
    asking = [
        {"query_id": q.query_id, "query": q.text, "lang": q.language, "answers": list(q.answers), "split": "dev"}
        for q in queries
    ]
    folder.mkdir()
    for name, rows in (("corpus", corpus), ("generated", generated), ("queries", asking)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels.tsv").write_text("".join(f"{query_id} 0 {passage} 1\n" for query_id, passage in relevant.items()))


def seconds(shown: str) -> float:
    number, unit = shown.split()
    return float(number.replace(",", "")) * UNITS[unit]


def planned(output: str) -> dict[str, float]:
    return {stage: seconds(value) for stage, value in re.findall(r"│ (\w[\w ]*?) +│ time +│ (\S+ \w+) ", output)}


def taken(output: str) -> dict[str, float]:
    return {stage: seconds(value) for stage, value in re.findall(r"(\w+) took (\S+ \w+)", output)}


@pytest.mark.slow
def test_each_stage_takes_what_was_planned_within_thirty_per_cent(
    trained_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan and job take turns, and medians are compared, because other programs may use the machine."""
    monkeypatch.setenv("COLUMNS", "300")
    make_collection(tmp_path / "collection", NUM_PASSAGES)
    job = ["data=collection", f"data.path={tmp_path / 'collection'}", f"checkpoint={trained_encoder}", *ALPHAS]
    plans, jobs = defaultdict(list), defaultdict(list)
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for stage, value in planned(run(tmp_path / "run", "plan=true", quick=job, script="evaluate.py")).items():
            plans[stage].append(value)
        plans["the plan itself"].append(time.perf_counter() - start)
        stages = taken(run(tmp_path / "run", quick=job, script="evaluate.py"))
        for stage, value in {**stages, "in all": sum(stages.values())}.items():
            jobs[stage].append(value)
        shutil.rmtree(tmp_path / "run" / "artifacts" / "embeddings")
    print(f"the plan itself took {shown(plans['the plan itself'])}")
    for stage in jobs:
        print(f"{stage}: planned {shown(plans[stage])}, took {shown(jobs[stage])}")
    assert jobs.keys() == {"encoding", "search", "scoring", "in all"}
    ratios = {stage: median(plans[stage]) / median(jobs[stage]) for stage in jobs}
    assert {stage: ratio for stage, ratio in ratios.items() if not 1 / 1.3 <= ratio <= 1.3} == {}


def shown(values: list[float]) -> str:
    return f"{median(values):.3g} s ({min(values):.3g} - {max(values):.3g})"
